package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// openFlags are the flags of "open".
type openFlags struct {
	out        output
	ring       ringFlags
	at         moment
	accept     []string
	maxLife    duration
	maxJourney duration
	leeway     duration
	limit      int
}

func newOpen() *cobra.Command {
	f := openFlags{
		maxLife: duration(waybill.DefaultMaxLife), maxJourney: duration(waybill.DefaultMaxJourney),
		leeway: duration(waybill.DefaultLeeway),
	}
	cmd := &cobra.Command{
		Use:   "open [FILE]",
		Short: "Verify a token and print its claims",
		Long: `Verify a token with the keys of a ring and print its claims. The token is read
from FILE or standard input, never from the arguments.

If your services do not use the defaults, pass their values: --accept, --leeway,
--max-life, --max-journey and --limit.

A token that is not valid is not shown. The exit code and the message say why, and
"-o json" prints {"verified": false, "reason": "…"}.

` + exitCodes,
		Example: `  waybill open --ring ring.jwks < token
  waybill open --ring ring.jwks --accept sealed token -o json
  waybill open --ring ring.jwks --at 2026-05-01T12:00:00Z token
  age -d ring.age | waybill open --ring - token`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.ring.register(cmd)
	f.out.register(cmd)
	cmd.Flags().Var(&f.at, "at", "time at which to judge the token (RFC 3339 or seconds since 1970); revocation is judged now")
	cmd.Flags().StringSliceVar(&f.accept, "accept", []string{"signed", "sealed", "public"}, "protections to accept")
	cmd.Flags().Var(&f.maxLife, "max-life", "longest lifetime of a token to accept")
	cmd.Flags().Var(&f.maxJourney, "max-journey", "longest journey of a token to accept")
	cmd.Flags().Var(&f.leeway, "leeway", "largest difference between clocks, 60s at most")
	cmd.Flags().IntVar(&f.limit, "limit", waybill.DefaultAcceptLimit,
		fmt.Sprintf("largest token to accept, in bytes, %d at most", waybill.MaxAcceptLimit))
	complete(cmd, "accept", "signed", "sealed", "public")
	return cmd
}

func (f *openFlags) run(cmd *cobra.Command, args []string) error {
	from := stdinName
	if len(args) > 0 {
		from = args[0]
	}
	ring, err := f.ring.load(cmd, from)
	if err != nil {
		return err
	}
	opts, err := f.options(ring.Set())
	if err != nil {
		return err
	}
	auth, err := waybill.New(ring.Set().Domain(), ring, opts...)
	if errors.Is(err, waybill.ErrNoKey) {
		return judged(err)
	}
	if err != nil {
		return usage("%s", message(err))
	}
	text, err := readToken(cmd, args, f.limit)
	if err != nil {
		return f.out.refuse(cmd, err)
	}
	at := f.at.Time
	if at.IsZero() {
		at = time.Now()
	}
	wb, err := auth.OpenAt(text, at)
	if err != nil {
		return f.out.refuse(cmd, err)
	}
	return f.print(cmd, wb, at)
}

func (f *openFlags) options(set *keyring.Set) ([]waybill.Option, error) {
	maxLife, maxJourney := time.Duration(f.maxLife), time.Duration(f.maxJourney)
	// An Authority opens what it issues, so its own times must be within the limits.
	opts := []waybill.Option{
		waybill.MaxLife(maxLife), waybill.Life(min(waybill.DefaultLife, maxLife, maxJourney)),
		waybill.MaxJourney(maxJourney), waybill.Journey(min(waybill.DefaultJourney, maxJourney)),
		waybill.Leeway(time.Duration(f.leeway)),
		waybill.AcceptLimit(f.limit), waybill.IssueLimit(min(f.limit, waybill.DefaultIssueLimit)),
	}
	accept, err := parseProtections("--accept", f.accept)
	if err != nil {
		return nil, err
	}
	if len(accept) == 0 {
		return nil, usage("--accept is empty: use signed, sealed or public")
	}
	// An Authority opens what it issues, and the ring must have a key to issue with.
	issue := accept[0]
	for _, k := range set.Keys() {
		if slices.Contains(accept, k.Protection()) {
			issue = k.Protection()
		}
	}
	return append(opts, waybill.Protect(issue), waybill.AlsoOpen(accept...)), nil
}

func (f *openFlags) print(cmd *cobra.Command, wb *waybill.Waybill, at time.Time) error {
	if f.out == jsonOutput {
		return writeJSON(cmd, struct {
			Verified   bool            `json:"verified"`
			Protection string          `json:"protection"`
			Kid        string          `json:"kid"`
			Claims     json.RawMessage `json:"claims"`
		}{true, wb.Protection().String(), wb.KeyID(), wb.Payload()})
	}
	claims, err := indented(json.RawMessage(wb.Payload()))
	if err != nil {
		return judged(err)
	}
	text := fmt.Appendf(nil, "VERIFIED %s waybill of %s, key %s\nexpires %s (%s)\njourney began %s (%s), ends %s (%s)\n%s",
		wb.Protection(), wb.Domain(), wb.KeyID(),
		stamp(wb.Expires()), distance(wb.Expires(), at), stamp(wb.Began()), distance(wb.Began(), at), stamp(wb.Ends()), distance(wb.Ends(), at), claims)
	return write(cmd, text)
}
