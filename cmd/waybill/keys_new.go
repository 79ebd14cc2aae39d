package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

const (
	keyLife = 90 * day

	// Longer than a node waits for a copy of the file before it calls a key unknown, with time to copy it.
	activationDelay = 5 * time.Minute
)

// newFlags are the flags of "keys new".
type newFlags struct {
	out        output
	domain     string
	names      []string
	life       duration
	activateIn duration
	add        bool
	force      bool
}

func newKeysNew() *cobra.Command {
	f := newFlags{life: duration(keyLife)}
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a ring, or add the next keys to one",
		Long: `Make a ring with one new key of each protection (signed, sealed and public), in a
file that only you can read (mode 0600). An existing file is never overwritten.
The key's times begin a minute ago, so that it issues on nodes whose clocks are slow.

With --add, rotate: add the next keys to an existing ring. The new keys open
tokens at once and issue after --activate-in. Copy the file to every node within
that time. It cannot be shorter than 3m without --force: a node that does not
have the file when the new keys issue answers their tokens with 503 for 3m, and
rejects them after that. The earlier keys open tokens until they expire, and
then leave the ring. The file keeps its mode and owner.`,
		Example: `  waybill keys new ring.jwks --domain shop
  waybill keys new ring.jwks --domain shop --protection signed,public --life 30d
  waybill keys new ring.jwks --add
  waybill keys new ring.jwks --add --activate-in 1h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.out.register(cmd)
	cmd.Flags().StringVar(&f.domain, "domain", "", `trust domain, the "aud" of its tokens; not needed with --add`)
	registerProtections(cmd, &f.names, "all; with --add those that the ring can issue")
	cmd.Flags().Var(&f.life, "life", "time from when a key begins to issue until it expires")
	cmd.Flags().Var(&f.activateIn, "activate-in", "time until the new keys issue")
	cmd.Flags().BoolVar(&f.add, "add", false, "add to an existing ring")
	cmd.Flags().Lookup("activate-in").DefValue = "at once; with --add 5m"
	cmd.Flags().BoolVar(&f.force, "force", false, "with --add, accept an --activate-in shorter than 3m")
	complete(cmd, "domain")
	return cmd
}

func (f *newFlags) run(cmd *cobra.Command, path string) error {
	protections, err := f.protections()
	if err != nil {
		return err
	}
	if f.life == 0 {
		return usage("--life must be greater than zero")
	}
	if !f.add {
		if f.domain == "" {
			return usage("--domain is missing: pass the trust domain of the ring, as in --domain shop")
		}
		if err := keyring.CheckDomain(f.domain); err != nil {
			return usage("--domain: %s", message(err))
		}
	}
	if f.add && !cmd.Flags().Changed("activate-in") {
		f.activateIn = duration(activationDelay)
	}
	if least := duration(keyring.DefaultCopyTime); f.add && f.activateIn < least && !f.force {
		return usage("--activate-in %v is shorter than %v, the time that copies of the file may take to reach every node: "+
			"nodes without the new keys cannot open their tokens; use a longer time, or pass --force if all nodes read this file",
			f.activateIn, least)
	}
	if f.force && !f.add {
		return usage("--force is for --add only: leave it out")
	}
	store := keyring.FileStore(path)
	before, err := f.before(cmd.Context(), store)
	if err != nil {
		return err
	}
	set, made, err := f.next(before.Data, protections)
	if err != nil {
		return err
	}
	_, err = store.CompareAndSwap(cmd.Context(), before.Revision, set.SecretJWKS())
	if errors.Is(err, keyring.ErrConflict) {
		return &failure{exitFailure, err, "run the command again"}
	}
	if err != nil {
		return judged(err)
	}
	f.report(cmd, path, set, made)
	return printMade(cmd, f.out, path, set, made)
}

// before is the ring to add to, or none where a new one is to be made.
func (f *newFlags) before(ctx context.Context, store keyring.FileStore) (keyring.Blob, error) {
	path := string(store)
	if f.add {
		blob, err := store.Load(ctx)
		if errors.Is(err, keyring.ErrNotFound) {
			return blob, &failure{exitFailure, err, "leave out --add to make a ring"}
		}
		return blob, judged(err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return keyring.Blob{}, usage("%s is a directory: pass the file of the ring", path)
	}
	if _, err := os.Lstat(path); err == nil {
		return keyring.Blob{}, &failure{exitFailure, fmt.Errorf("%s exists and was not changed", path), "pass --add to add keys to it"}
	}
	return keyring.Blob{}, nil
}

// protections are those to make keys of; none: those that the ring to add to can issue.
func (f *newFlags) protections() ([]keyring.Protection, error) {
	out, err := parseProtections("--protection", f.names)
	if err == nil && len(out) == 0 && !f.add {
		out = allProtections
	}
	return out, err
}

// next makes the keys, and the set that holds them: the first generation, or the one after old.
func (f *newFlags) next(old []byte, protections []keyring.Protection) (*keyring.Set, []*keyring.Key, error) {
	var set *keyring.Set
	if f.add {
		var err error
		if set, err = keyring.ParseSet(old); err != nil {
			return nil, nil, judged(err)
		}
		if f.domain != "" && f.domain != set.Domain() {
			return nil, nil, judged(fmt.Errorf("%w: the ring is of %s, not %s", keyring.ErrDomain, set.Domain(), f.domain))
		}
		if len(protections) == 0 {
			protections = issuing(set)
		}
		if len(protections) == 0 {
			return nil, nil, &failure{exitKey, errors.New("the ring has public halves only"), "use the ring with the private halves"}
		}
	}
	now := time.Now()
	times := f.times(now)
	var made []*keyring.Key
	for _, p := range protections {
		key, err := keyring.Generate(p, times)
		if err != nil {
			return nil, nil, judged(err)
		}
		made = append(made, key)
	}
	if f.add {
		set, err := set.Prune(now, waybill.MaxLeeway).With(made...) // what has ended makes room
		return set, made, judged(err)
	}
	set, err := keyring.NewSet(f.domain, made...)
	return set, made, judged(err)
}

// issuing returns the protections of the keys with which the set can issue.
func issuing(set *keyring.Set) []keyring.Protection {
	var out []keyring.Protection
	for _, p := range allProtections {
		if slices.ContainsFunc(set.Keys(), func(k *keyring.Key) bool { return k.Protection() == p && k.CanIssue() }) {
			out = append(out, p)
		}
	}
	return out
}

// times are those of the new keys. A first ring's are set back, so that a node whose clock is late
// can issue at once.
func (f *newFlags) times(now time.Time) keyring.Times {
	t := keyring.Times{Created: now, NotBefore: now.Add(time.Duration(f.activateIn))}
	t.Expires = t.NotBefore.Add(time.Duration(f.life))
	if !f.add && f.activateIn == 0 {
		t.Created = now.Add(-waybill.MaxLeeway)
		t.NotBefore = t.Created
	}
	return t
}

// report tells the operator what was made, and until when to do what.
func (f *newFlags) report(cmd *cobra.Command, path string, set *keyring.Set, made []*keyring.Key) {
	w := cmd.ErrOrStderr()
	say(w, fmt.Sprintf("wrote %s: %s", path, set))
	for _, k := range made {
		t := k.Times()
		say(w, fmt.Sprintf("%s key %s issues from %s, expires %s",
			k.Protection(), k.ID(), stamp(t.NotBefore), stamp(t.Expires)))
	}
	if f.add {
		say(w, fmt.Sprintf("copy %s to every node before %s: nodes without it reject tokens of the new keys",
			path, stamp(made[0].Times().NotBefore)))
	}
}

type madeKey struct {
	Kid        string             `json:"kid"`
	Protection keyring.Protection `json:"protection"`
	Created    string             `json:"created"`
	ActiveFrom string             `json:"active_from"`
	Expires    string             `json:"expires"`
}

// printMade prints the keys that were made.
func printMade(cmd *cobra.Command, out output, name string, set *keyring.Set, made []*keyring.Key) error {
	if out == textOutput {
		var kids strings.Builder
		for _, k := range made {
			kids.WriteString(k.ID() + "\n")
		}
		return write(cmd, []byte(kids.String()))
	}
	keys := []madeKey{}
	for _, k := range made {
		t := k.Times()
		keys = append(keys, madeKey{k.ID(), k.Protection(), stamp(t.Created), stamp(t.NotBefore), stamp(t.Expires)})
	}
	return writeJSON(cmd, struct {
		File       string    `json:"file"`
		Domain     string    `json:"domain"`
		Generation uint64    `json:"generation"`
		Keys       []madeKey `json:"keys"`
	}{name, set.Domain(), set.Generation(), keys})
}
