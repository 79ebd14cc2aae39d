package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
)

// output is the value of -o.
type output string

const (
	textOutput output = "text"
	jsonOutput output = "json"
)

func (o *output) register(cmd *cobra.Command) {
	*o = textOutput
	cmd.Flags().VarP(o, "output", "o", "form of the data: text or json")
	complete(cmd, "output", string(textOutput), string(jsonOutput))
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "form" }
func (o *output) Set(s string) error {
	if s != string(textOutput) && s != string(jsonOutput) {
		return errors.New("must be text or json")
	}
	*o = output(s)
	return nil
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not there
	}
}

// write writes data that is complete.
func write(cmd *cobra.Command, data []byte) error {
	_, err := cmd.OutOrStdout().Write(data)
	return judged(err)
}

// writeJSON writes v and a line end.
func writeJSON(cmd *cobra.Command, v any) error {
	b, err := indented(v)
	if err != nil {
		return judged(err)
	}
	return write(cmd, b)
}

// refuse returns err. If it is about the token, a program that reads the output learns it too.
func (o output) refuse(cmd *cobra.Command, err error) error {
	if reason := waybill.Reason(err); o == jsonOutput && refusals[reason].code != 0 {
		no := struct {
			Verified bool   `json:"verified"`
			Reason   string `json:"reason"`
		}{false, reason}
		if err := writeJSON(cmd, no); err != nil {
			return err
		}
	}
	return judged(err)
}

// indented keeps raw values as they are spelled.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escaped(b.Bytes()), nil
}

// escaped escapes everything but line ends that could move a terminal's cursor or reorder its text.
// Inside JSON strings, the only place where such characters can occur in JSON, the result means the
// same.
func escaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, `\ufffd`...)
		case r == '\n' || unicode.IsPrint(r):
			out = append(out, text[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// oneLine is text from elsewhere as one line that is fit for a terminal.
func oneLine(text string) string {
	return string(escaped([]byte(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))))
}

// stamp writes a time as all commands do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// distance tells roughly how far t is from now.
func distance(t, now time.Time) string {
	d := t.Sub(now)
	size := d.Abs()
	switch {
	case size >= day:
		size = size.Truncate(time.Hour)
	case size >= time.Hour:
		size = size.Truncate(time.Minute)
	default:
		size = size.Truncate(time.Second)
	}
	if d < 0 {
		return duration(size).String() + " ago"
	}
	return "in " + duration(size).String()
}
