package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

func newInspect() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Show the content of a token without verifying it",
		Long: `Show the content of a token without a key, and so without verifying it: anybody
can have written it. Of a sealed token it shows only the header. The token is read
from FILE or standard input, never from the arguments.

Input that is not a waybill is shown as far as possible, with exit code 3.`,
		Example: `  waybill inspect < token
  waybill inspect token -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readToken(cmd, args, waybill.MaxAcceptLimit)
			if err != nil {
				return out.refuse(cmd, err)
			}
			if len(text) > waybill.MaxAcceptLimit {
				err := fmt.Errorf("%w: no service accepts more than %d bytes", waybill.ErrTooLarge, waybill.MaxAcceptLimit)
				return out.refuse(cmd, &failure{code: exitDenied, err: err})
			}
			seen := look(text, time.Now())
			if out == jsonOutput {
				err = writeJSON(cmd, seen)
			} else {
				err = write(cmd, seen.text())
			}
			if err == nil && seen.Problem != "" {
				err = &failure{code: exitInvalid, err: fmt.Errorf("not a waybill: %s", seen.Problem)}
			}
			return err
		},
	}
	out.register(cmd)
	return cmd
}

// sight is what can be seen of a token without a key.
type sight struct {
	Verified   bool            `json:"verified"` // always false
	Protection string          `json:"protection,omitempty"`
	Header     json.RawMessage `json:"header,omitempty"`
	Claims     json.RawMessage `json:"claims,omitempty"`
	Began      string          `json:"began,omitempty"` // the journey
	Expires    string          `json:"expires,omitempty"`
	Remaining  *int64          `json:"remaining_seconds,omitempty"` // of its life; negative: expired so long ago
	Problem    string          `json:"problem,omitempty"`           // why it is not a waybill

	life, age string
}

func look(token string, now time.Time) sight {
	alg, header, payload, err := jose.Unverified(token)
	var s sight
	if err != nil {
		s.Problem = err.Error()
	}
	if alg != 0 {
		s.Protection = keyring.Protection(alg).String()
	}
	if json.Valid(header) {
		s.Header = header
	}
	if json.Valid(payload) {
		s.Claims = payload
	}
	var times struct {
		Exp int64  `json:"exp"`
		Sid string `json:"sid"`
	}
	known := json.Unmarshal(payload, &times) == nil
	if began, ok := jose.Began(times.Sid); known && ok {
		s.Began, s.age = stamp(time.Unix(began, 0)), distance(time.Unix(began, 0), now)
	}
	if known && times.Exp > 0 && times.Exp < 1<<40 {
		exp := time.Unix(times.Exp, 0)
		left := times.Exp - now.Unix()
		s.Expires, s.Remaining, s.life = stamp(exp), &left, distance(exp, now)
	}
	return s
}

func (s *sight) text() []byte {
	b := []byte("NOT VERIFIED: no key was used, anybody can have written this\n")
	part := func(name string, raw json.RawMessage) {
		if raw == nil {
			return
		}
		text, err := indented(raw)
		if err == nil {
			b = fmt.Appendf(b, "%s %s", name, text)
		}
	}
	part("header", s.Header)
	switch {
	case s.Protection == "sealed":
		b = append(b, "claims are sealed: only a member of the ring can read them, with waybill open\n"...)
	default:
		part("claims", s.Claims)
	}
	if s.Began != "" {
		b = fmt.Appendf(b, "journey began, by its own account, %s (%s)\n", s.Began, s.age)
	}
	if s.Expires != "" {
		b = fmt.Appendf(b, "expires, by its own account, %s (%s)\n", s.Expires, s.life)
	}
	return b
}
