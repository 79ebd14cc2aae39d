// Conformance writes and checks the page that lists the cases of all transports with the tests that
// show them. Run it in the folder tools:
//
//	go run ./conformance write ../docs/conformance.txt
//	go run ./conformance check ../docs/conformance.txt test.log
//
// "write" writes docs/conformance.md from the cases in docs/conformance.txt. "check" fails if the
// page is out of date, or if the log, which is the output of go test -v, does not show that each
// test of each case passed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	write := len(args) == 2 && args[0] == "write"
	check := len(args) == 3 && args[0] == "check"
	if !write && !check {
		return errors.New("want \"write CASES\", or \"check CASES LOG\" with the output of go test -v")
	}
	path := args[1]
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	groups, err := readCases(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	pagePath := strings.TrimSuffix(path, ".txt") + ".md"
	if write {
		return os.WriteFile(pagePath, []byte(page(groups)), 0o644)
	}
	old, err := os.ReadFile(pagePath)
	if err != nil {
		return err
	}
	if string(old) != page(groups) {
		return fmt.Errorf("%s is out of date with %s: run \"go run ./conformance write %s\"", pagePath, path, path)
	}
	f, err := os.Open(args[2])
	if err != nil {
		return err
	}
	defer f.Close()
	results, err := readLog(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[2], err)
	}
	return judge(path, groups, results, out)
}

// judge fails if a test of a case did not pass.
func judge(path string, groups []group, results results, out io.Writer) error {
	cases, tests := 0, map[test]bool{}
	var wrong []string
	for _, g := range groups {
		for _, c := range g.cases {
			cases++
			for _, t := range c.tests {
				tests[t] = true
				if why := results.judge(t); why != "" {
					wrong = append(wrong, fmt.Sprintf("%s:%d: %s %s", path, c.line, t, why))
				}
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not all tests of the cases passed; if a test was renamed, edit %s and run \"go run ./conformance write %s\":\n%s",
			path, path, strings.Join(wrong, "\n"))
	}
	fmt.Fprintf(out, "%s: %d cases, %d tests, all passed\n", path, cases, len(tests))
	return nil
}
