package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// The exit codes. Scripts depend on them.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitInvalid = 3
	exitTime    = 4
	exitKey     = 5
	exitDenied  = 6
	exitRisk    = 7
)

const exitCodes = `Exit codes:
  0  done
  1  a file or a ring cannot be read or written, or an internal error
  2  wrong usage: arguments, flags or claims
  3  no valid token: missing, malformed, forged, or with another algorithm
  4  expired, not yet valid, or lifetime over the limit; the roster has expired
  5  the key is unknown or revoked, or no key can issue
  6  wrong audience, protection or size, or not allowed by the roster
  7  keys doctor found risks`

// failure is an error with an exit code and advice.
type failure struct {
	code   int
	err    error
	advice string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// refusals maps each reason of package waybill to an exit code and to advice for the user.
var refusals = map[string]failure{
	"absent":        {exitInvalid, nil, "pass the token on standard input or in a file"},
	"malformed":     {exitInvalid, nil, "see its content: waybill inspect"},
	"ambiguous":     {exitInvalid, nil, "pass exactly one token"},
	"algorithm":     {exitInvalid, nil, "see its header: waybill inspect"},
	"forged":        {exitInvalid, nil, "it was altered, or issued with another key that has the same kid"},
	"expired":       {exitTime, nil, "get a new token, or use --at to judge it at another time"},
	"not_yet_valid": {exitTime, nil, "compare this machine's clock with the issuer's, or use --at"},
	"lifetime":      {exitTime, nil, "if your services accept this lifetime, pass --max-life and --max-journey"},
	"unknown_key":   {exitKey, nil, "compare its kid (waybill inspect) with the ring (waybill keys list)"},
	"revoked":       {exitKey, nil, "get a new token"},
	"no_key":        {exitKey, nil, ""},
	"protection":    {exitDenied, nil, "add its protection to --accept"},
	"audience":      {exitDenied, nil, "open it with the ring of its domain"},
	"too_large":     {exitDenied, nil, "if your services accept tokens of this size, pass --limit"},
}

// judged adds an exit code to an error that has none.
func judged(err error) error {
	if _, ok := errors.AsType[*failure](err); ok || err == nil {
		return err
	}
	f := failure{code: exitFailure}
	switch {
	case errors.Is(err, keyring.ErrDomain):
		f.code = exitDenied
	case errors.Is(err, waybill.ErrReadOnly):
		f.code, f.advice = exitKey, "use the ring with the private halves"
	case errors.Is(err, agering.ErrExpired):
		f.code, f.advice = exitTime, "run waybill keys roster sign and waybill keys rewrap"
	case errors.Is(err, agering.ErrNotMember), errors.Is(err, agering.ErrNotProposer), errors.Is(err, agering.ErrNotRevoker),
		errors.Is(err, agering.ErrOldRoster), errors.Is(err, agering.ErrOldEpoch), errors.Is(err, agering.ErrSignature):
		f.code = exitDenied
	default:
		if r, ok := refusals[waybill.Reason(err)]; ok {
			f = r
		}
	}
	f.err = err
	return &f
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return exitFailure
}

// message is an error's text and advice, without the prefixes of the packages it came from.
func message(err error) string {
	text := ": " + err.Error()
	for _, prefix := range []string{": waybill: ", ": keyring: ", ": agering: ", ": natskv: "} {
		text = strings.ReplaceAll(text, prefix, ": ")
	}
	text = strings.TrimPrefix(text, ": ")
	if f, ok := errors.AsType[*failure](err); ok && f.advice != "" {
		text += "; " + f.advice
	}
	return text
}

// say writes one line to standard error, whatever text holds.
func say(w io.Writer, text string) {
	fmt.Fprintf(w, "waybill: %s\n", oneLine(text))
}
