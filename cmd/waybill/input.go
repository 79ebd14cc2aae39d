package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
)

// stdinName means standard input in place of a file name.
const stdinName = "-"

// errNoToken has the reason of package waybill and a text for the command line.
var errNoToken = noToken{waybill.ErrNoWaybill}

type noToken struct{ error }

func (noToken) Error() string   { return "no token" }
func (n noToken) Unwrap() error { return n.error }

// readToken reads the token in the file that args names, or on standard input, and takes off one
// line end. It reads little more than the limit, just enough to tell what is too long.
func readToken(cmd *cobra.Command, args []string, limit int) (string, error) {
	path := stdinName
	if len(args) > 0 {
		path = args[0]
	}
	data, err := readInput(cmd, path, limit+2)
	if err != nil {
		return "", err
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	data = bytes.TrimSuffix(data, []byte("\r"))
	if len(data) == 0 {
		return "", fmt.Errorf("%s is empty: %w", inputName(path), errNoToken)
	}
	return string(data), nil
}

// readInput reads up to limit bytes, and one more of what is longer.
func readInput(cmd *cobra.Command, path string, limit int) ([]byte, error) {
	r := cmd.InOrStdin()
	if path != stdinName {
		f, err := os.Open(path)
		if err != nil {
			return nil, judged(err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, judged(fmt.Errorf("%s cannot be read: %w", inputName(path), err))
	}
	return data, nil
}

func inputName(path string) string {
	if path == stdinName {
		return "standard input"
	}
	return path
}
