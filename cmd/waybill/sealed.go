package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// The time that one command has with a store: an election in NATS, or another writer of a file.
const (
	natsPatience = 20 * time.Second
	filePatience = 7 * time.Second
)

// sealedFlags name a sealed ring, and who opens it.
type sealedFlags struct {
	out      output
	domain   string
	identity string
	roots    []string
	roster   string
	nats     string
	bucket   string
	creds    string
}

func (f *sealedFlags) register(cmd *cobra.Command) {
	f.out.register(cmd)
	cmd.Flags().StringVar(&f.domain, "domain", "", "trust domain that the ring must be of")
	cmd.Flags().StringVar(&f.identity, "identity", "", "file of your identity")
	registerRoots(cmd, &f.roots)
	cmd.Flags().StringVar(&f.roster, "roster", "", "file of the newest signed roster that you have")
	cmd.Flags().StringVar(&f.nats, "nats", "", "address of the NATS server with the ring, instead of STORE")
	cmd.Flags().StringVar(&f.bucket, "bucket", "", "key-value bucket with the ring; requires --nats")
	cmd.Flags().StringVar(&f.creds, "creds", "", "file of the NATS credentials; requires --nats")
	cmd.MarkFlagsRequiredTogether("nats", "bucket")
	complete(cmd, "domain")
	complete(cmd, "root-public")
	complete(cmd, "nats")
	complete(cmd, "bucket")
}

func registerRoots(cmd *cobra.Command, roots *[]string) {
	cmd.Flags().StringArrayVar(roots, "root-public", nil, "public line of the root that signs rosters; up to three times")
}

// sealedRing is a sealed ring in its store, and what opens it.
type sealedRing struct {
	domain  string
	name    string
	store   keyring.Store
	id      *agering.Identity
	roots   []agering.PublicRoot
	wrapper *agering.Wrapper // knows the newest roster that it has seen
	conn    *nats.Conn       // nil: a file
	bucket  *natskv.Store    // the store, if it is one in NATS
}

// open finds the store and what follows it among the arguments, and takes the ring's roster to be
// that of --roster or newer. It does not read the ring yet.
func (f *sealedFlags) open(args []string, after int) (*sealedRing, []string, error) {
	s, rest, err := f.find(args, after)
	if err != nil {
		return nil, nil, err
	}
	if f.roster != "" {
		if err := s.learn(f.roster); err != nil {
			s.close()
			return nil, nil, err
		}
	}
	return s, rest, nil
}

// find is open without the roster.
func (f *sealedFlags) find(args []string, after int) (*sealedRing, []string, error) {
	inFile := f.nats == ""
	switch {
	case inFile && len(args) == after:
		return nil, nil, usage("STORE is missing: pass the file of the sealed ring, or --nats and --bucket")
	case !inFile && len(args) > after:
		return nil, nil, usage("the ring cannot be both in the file %s and in NATS: pass STORE or --nats", args[0])
	case f.domain == "":
		return nil, nil, usage("--domain is missing: pass the trust domain of the ring, as in --domain shop")
	case f.identity == "":
		return nil, nil, usage("--identity is missing: pass the file that waybill keys identity new made")
	}
	if err := keyring.CheckDomain(f.domain); err != nil {
		return nil, nil, usage("--domain: %s", message(err))
	}
	roots, err := parseRoots(f.roots)
	if err != nil {
		return nil, nil, err
	}
	id, err := agering.LoadIdentity(f.identity)
	if err != nil {
		return nil, nil, judged(err)
	}
	s := &sealedRing{domain: f.domain, id: id, roots: roots}
	if s.wrapper, err = s.newWrapper(); err != nil {
		return nil, nil, err
	}
	if inFile {
		s.name, s.store = args[0], keyring.FileStore(args[0])
		return s, args[1:], nil
	}
	return s, args, f.connect(s)
}

func parseRoots(lines []string) ([]agering.PublicRoot, error) {
	if len(lines) == 0 {
		return nil, usage("--root-public is missing: pass the line that waybill keys root new printed")
	}
	roots, err := agering.ParseRoots(lines...)
	if err != nil {
		return nil, usage("--root-public: %s", message(err))
	}
	return roots, nil
}

// connect opens the store in NATS.
func (f *sealedFlags) connect(s *sealedRing) error {
	if u, err := url.Parse(f.nats); err == nil && u.User != nil {
		return usage("--nats contains a password or a token, and arguments are visible to every user of this machine: " +
			"pass --creds FILE")
	}
	opts := []nats.Option{nats.Name("waybill keys"), nats.NoReconnect()}
	if f.creds != "" {
		opts = append(opts, nats.UserCredentials(f.creds))
	}
	conn, err := nats.Connect(f.nats, opts...)
	if err != nil {
		return judged(err)
	}
	store, err := natskv.New(conn, f.bucket, f.domain)
	if err != nil {
		conn.Close()
		return usage("--bucket: %s", message(err))
	}
	s.name, s.store, s.conn, s.bucket = "bucket "+f.bucket, store, conn, store
	return nil
}

func (s *sealedRing) close() {
	if s.conn != nil {
		s.conn.Close()
	}
}

func (s *sealedRing) timeout(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if s.conn == nil {
		return context.WithTimeout(cmd.Context(), filePatience)
	}
	return context.WithTimeout(cmd.Context(), natsPatience)
}

func (s *sealedRing) newWrapper() (*agering.Wrapper, error) {
	w, err := agering.New(s.domain, s.id, s.roots)
	return w, judged(err)
}

// sealedView is a ring as one read has shown it.
type sealedView struct {
	set      *keyring.Set
	revision uint64
	by       string
	size     int
	stale    bool // sealed to an older roster than is known
}

// read opens what the store has.
func (s *sealedRing) read(ctx context.Context) (*sealedView, error) {
	blob, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	v, err := unsealed(s.wrapper, s.domain, blob)
	return v, judged(err)
}

func (s *sealedRing) load(ctx context.Context) (keyring.Blob, error) {
	blob, err := s.store.Load(ctx)
	if errors.Is(err, keyring.ErrNotFound) {
		return blob, &failure{exitFailure, err, "make one with: waybill keys init"}
	}
	return blob, judged(err)
}

func unsealed(w *agering.Wrapper, domain string, blob keyring.Blob) (*sealedView, error) {
	u, err := w.Unwrap(domain, blob.Data)
	if err != nil {
		return nil, err
	}
	set, err := keyring.ParseSet(u.Plain)
	if err != nil {
		return nil, err
	}
	return &sealedView{set.WithEpoch(u.Epoch), blob.Revision, u.By, len(blob.Data), u.Stale}, nil
}

// write puts set in the place of what was read.
func (s *sealedRing) write(ctx context.Context, revision uint64, set *keyring.Set) error {
	data, err := s.wrapper.Wrap(s.domain, set.Generation(), set.SecretJWKS())
	if err != nil {
		return judged(err)
	}
	_, err = s.store.CompareAndSwap(ctx, revision, data)
	if errors.Is(err, keyring.ErrConflict) {
		return &failure{exitFailure, err, "run the command again"}
	}
	return judged(err)
}

// maintain runs change on a ring that may write to the store.
func (s *sealedRing) maintain(ctx context.Context, p keyring.Policy, change func(*keyring.Ring) error) error {
	ring, err := keyring.Maintain(ctx, s.store, s.wrapper, keyring.Domain(s.domain), keyring.WithPolicy(p),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return usage("%s", message(err)) // of the policy
	}
	err = change(ring)
	if e := ring.Close(); err == nil {
		err = e
	}
	return judged(err)
}

// learn gives the wrapper the roster in a file.
func (s *sealedRing) learn(path string) error {
	signed, err := readRoster(path)
	if err != nil {
		return err
	}
	return judged(s.wrapper.Learn(signed))
}

// readRoster reads a signed roster. It is public, so its file may have any mode.
func readRoster(path string) ([]byte, error) {
	signed, err := os.ReadFile(path)
	return signed, judged(err)
}

var errNoRoster = usage("--roster is missing: pass the file that waybill keys roster sign made")

// policyFlags are the times by which the keys follow each other.
type policyFlags struct{ period, delay, horizon, slack duration }

func (f *policyFlags) register(cmd *cobra.Command) {
	p := keyring.DefaultPolicy()
	f.period, f.horizon, f.slack = duration(p.Period), duration(p.Horizon), duration(p.Slack)
	cmd.Flags().Var(&f.period, "period",
		"time between two keys of a protection; must be the same as in your services, as --delay, --horizon and --slack")
	cmd.Flags().Var(&f.delay, "delay", "time from when a key is made until it issues")
	cmd.Flags().Var(&f.horizon, "horizon", "time for which a key opens after its successor took over")
	cmd.Flags().Var(&f.slack, "slack", "time for which a key opens beyond that")
	cmd.Flags().Lookup("delay").DefValue = "half of --period"
}

func (f *policyFlags) policy(protections []keyring.Protection) (keyring.Policy, error) {
	p := keyring.DefaultPolicy()
	p.Period, p.Horizon, p.Slack = time.Duration(f.period), time.Duration(f.horizon), time.Duration(f.slack)
	if p.Delay = time.Duration(f.delay); p.Delay == 0 {
		p.Delay = p.Period / 2
	}
	p.Protections = protections
	if err := p.Validate(); err != nil {
		return p, usage("%s", message(err))
	}
	return p, nil
}
