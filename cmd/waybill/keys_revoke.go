package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeysRevoke() *cobra.Command {
	var (
		f      sealedFlags
		p      policyFlags
		reason string
		all    bool
	)
	cmd := &cobra.Command{
		Use:   "revoke [STORE] KID",
		Short: "Revoke a key of a sealed ring, or all keys",
		Long: `Revoke a key: it no longer issues, and its tokens are rejected. If no other key can
issue in its place, add a new one that issues at once. Nodes of a NATS bucket know
the revocation within a second, nodes that follow a file when they next read it. A
revocation cannot be undone.

With --all, revoke every key of the ring and add new keys that issue at once. Use
it after a member was compromised, and after "waybill keys rewrap" with a roster
without that member.

Your identity needs the role may-revoke in the roster. Pass a KID that begins with
a dash as the last argument, after " -- ".`,
		Example: `  waybill keys revoke shop.ring HRG7gVlimgU --reason 'seen in a log' --domain shop --identity me.id \
    --root-public "$(cat shop.root.pub)"
  waybill keys revoke shop.ring --all --reason 'orders was compromised' --domain shop --identity me.id \
    --root-public "$(cat shop.root.pub)"`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is missing: pass a short reason, which stays in the ring")
			}
			policy, err := p.policy(nil)
			if err != nil {
				return err
			}
			kids := 1
			if all {
				kids = 0
			}
			if f.nats == "" && len(args) != 1+kids || f.nats != "" && len(args) != kids {
				return usage("wrong arguments: pass STORE, unless the ring is in NATS, and KID or --all; see %s --help", cmd.CommandPath())
			}
			s, rest, err := f.open(args, kids)
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := s.timeout(cmd)
			defer cancel()
			if all {
				return revokeAll(ctx, cmd, f.out, s, policy, reason)
			}
			return revoke(ctx, cmd, f.out, s, policy, rest[0], reason)
		},
	}
	f.register(cmd)
	p.register(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "short reason, which all members can read")
	cmd.Flags().BoolVar(&all, "all", false, "revoke every key of the ring")
	complete(cmd, "reason")
	return cmd
}

// revokeAll takes every key back in one write, so that no key of before issues in between.
func revokeAll(ctx context.Context, cmd *cobra.Command, out output, s *sealedRing, p keyring.Policy,
	reason string) error {
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	if p.Protections = issuing(v.set); len(p.Protections) == 0 {
		return &failure{exitKey, errors.New("the ring has no key that can issue"), "sign a roster of the next epoch"}
	}
	first, err := firstKeys(p, s.wrapper.Roster())
	if err != nil {
		return judged(err)
	}
	set := v.set
	for _, k := range v.set.Keys() {
		if set, err = set.Revoke(k.ID(), time.Now(), reason); err != nil {
			return judged(err)
		}
	}
	if set, err = set.With(first.Keys()...); err != nil {
		return judged(err)
	}
	if err := s.write(ctx, v.revision, set); err != nil {
		return err
	}
	say(cmd.ErrOrStderr(), fmt.Sprintf("revoked keys: %d", len(v.set.Keys())))
	return rotated(cmd, out, s, set, first.Keys())
}

func revoke(ctx context.Context, cmd *cobra.Command, out output, s *sealedRing, p keyring.Policy,
	kid, reason string) error {
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	if v.set.Lookup([]byte(kid)) == nil && !v.set.Revoked([]byte(kid)) {
		return &failure{exitKey, fmt.Errorf("the ring has no key %q", kid), "see waybill keys status"}
	}
	var set *keyring.Set
	err = s.maintain(ctx, p, func(r *keyring.Ring) error {
		err := r.Revoke(ctx, kid, reason)
		set = r.Set()
		return err
	})
	if err != nil {
		return err
	}
	var made []*keyring.Key
	for _, k := range set.Keys() {
		if v.set.Lookup([]byte(k.ID())) == nil {
			made = append(made, k)
		}
	}
	say(cmd.ErrOrStderr(), fmt.Sprintf("key %s is revoked", kid))
	return rotated(cmd, out, s, set, made)
}
