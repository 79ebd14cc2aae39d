// Cells holds a page of tables to its word: every test that a table names must have run and passed. It takes the page, and
// the output of go test -v from a file or the standard input:
//
//	go test -v ./... | go run ./cells ../docs/transports.md
//	go run ./cells ../docs/transports.md test.log
//
// The page says in its first paragraph how a cell names a test.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cells:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("want a page, and the output of go test -v: cells PAGE [LOG]")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if len(args) == 2 {
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	named, err := readPage(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	results, err := readLog(in)
	if err != nil {
		return err
	}
	var wrong []string
	for _, n := range named {
		if why := n.judge(results); why != "" {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s: %s", args[0], n.line, n.text, why))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d tests named do not hold:\n%s", len(wrong), len(named), strings.Join(wrong, "\n"))
	}
	fmt.Fprintf(out, "%s: %d tests named, all passed\n", args[0], len(named))
	return nil
}
