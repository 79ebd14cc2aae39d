package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// maxClaims bounds what is read of a file of claims. Its white space does not count in the token,
// so it may be larger.
const maxClaims = 64 << 10

// issueFlags are the flags of "issue".
type issueFlags struct {
	out        output
	ring       ringFlags
	protection string
	life       duration
	journey    duration
	claims     []string
	file       string
}

func newIssue() *cobra.Command {
	f := issueFlags{life: duration(waybill.DefaultLife), journey: duration(waybill.DefaultJourney)}
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue the first waybill of a journey",
		Long: `Issue the first waybill of a journey and print its token. Handle the token as a
credential: write it to a file or a pipe.

Claims are JSON: strings need quotes. Arguments are visible to every user of the
machine, so pass the secret claims of a sealed waybill in a file (--claims-file
FILE) or on standard input (--claims-file -), as one JSON object.`,
		Example: `  waybill issue --ring ring.jwks --claim 'cell="eu-3"' --claim seats=2 > token
  waybill issue --ring ring.jwks --protection sealed --claims-file claims.json > token
  age -d ring.age | waybill issue --ring - --claim 'cell="eu-3"' > token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.ring.register(cmd)
	f.out.register(cmd)
	cmd.Flags().StringVar(&f.protection, "protection", keyring.Signed.String(),
		"signed, sealed (only members of the ring can read it) or public (anyone with the public key can verify it)")
	complete(cmd, "protection", "signed", "sealed", "public")
	cmd.Flags().Var(&f.life, "life", "time until the token expires")
	cmd.Flags().Var(&f.journey, "journey", "time until the absolute end of the journey")
	cmd.Flags().StringArrayVar(&f.claims, "claim", nil, "claim as NAME=JSON; may be repeated")
	cmd.Flags().StringVar(&f.file, "claims-file", "", `file with a JSON object of claims, "-" for standard input`)
	return cmd
}

func (f *issueFlags) run(cmd *cobra.Command) error {
	if f.life > f.journey {
		return usage("--life %s is longer than the journey: pass a --journey longer than %s", f.life, f.journey)
	}
	protection, err := keyring.ParseProtection(f.protection)
	if err != nil {
		return usage("--protection: %s", message(err))
	}
	ring, err := f.ring.load(cmd, f.file)
	if err != nil {
		return err
	}
	claims, err := f.read(cmd)
	if err != nil {
		return err
	}
	opts := []waybill.Option{waybill.Protect(protection), waybill.Life(time.Duration(f.life)), waybill.Journey(time.Duration(f.journey))}
	var changes []waybill.Change
	for _, c := range claims {
		claim := waybill.NewClaim[json.RawMessage](c.name)
		opts = append(opts, waybill.Claims(claim))
		changes = append(changes, claim.To(c.value))
	}
	auth, err := waybill.New(ring.Set().Domain(), ring, opts...)
	if errors.Is(err, waybill.ErrNoKey) {
		return judged(err)
	}
	if err != nil {
		return usage("%s", message(err))
	}
	wb, err := auth.Issue(changes...)
	switch {
	case errors.Is(err, waybill.ErrClaimType):
		return usage("%s", message(err))
	case errors.Is(err, waybill.ErrTooLarge):
		return &failure{exitDenied, err, "a waybill is for routing state: use fewer or shorter claims"}
	case err != nil:
		return judged(err)
	}
	if f.out == textOutput {
		return write(cmd, []byte(wb.Token()+"\n"))
	}
	return writeJSON(cmd, struct {
		Token      string `json:"token"`
		Protection string `json:"protection"`
		Kid        string `json:"kid"`
		Sid        string `json:"sid"`
		Began      string `json:"began"`
		Expires    string `json:"expires"`
		Ends       string `json:"ends"`
	}{wb.Token(), wb.Protection().String(), wb.KeyID(), wb.ID(), stamp(wb.Began()), stamp(wb.Expires()), stamp(wb.Ends())})
}

// namedClaim is one claim that the user wrote.
type namedClaim struct {
	name  string
	value json.RawMessage
}

// read returns the claims of the file, then those of the arguments. Errors never show a value.
func (f *issueFlags) read(cmd *cobra.Command) ([]namedClaim, error) {
	var claims []namedClaim
	if f.file != "" {
		data, err := readInput(cmd, f.file, maxClaims)
		if err != nil {
			return nil, err
		}
		if claims, err = parseObject(data); err != nil {
			return nil, usage("%s: %w", inputName(f.file), err)
		}
	}
	for _, arg := range f.claims {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, usage(`--claim must be NAME=JSON, as in --claim 'cell="eu-3"'`)
		}
		if !json.Valid([]byte(value)) {
			return nil, usage(`--claim %s: the value is not JSON: strings need quotes, as in --claim 'cell="eu-3"'`, name)
		}
		claims = append(claims, namedClaim{name, json.RawMessage(value)})
	}
	return claims, nil
}

// parseObject splits a JSON object into its members and keeps their order and the spelling of their
// values.
func parseObject(data []byte) ([]namedClaim, error) {
	if len(data) > maxClaims {
		return nil, fmt.Errorf("more than %d bytes of claims", maxClaims)
	}
	errForm := errors.New("the claims are not one JSON object")
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errForm
	}
	var claims []namedClaim
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errForm
		}
		c := namedClaim{name: name.(string)}
		if err := d.Decode(&c.value); err != nil {
			return nil, errForm
		}
		claims = append(claims, c)
	}
	if _, err := d.Token(); err != nil {
		return nil, errForm
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errForm
	}
	return claims, nil
}
