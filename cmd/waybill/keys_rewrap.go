package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// rewrapFlags are the flags of "keys rewrap".
type rewrapFlags struct {
	sealedFlags
	policyFlags
	names []string
}

func newKeysRewrap() *cobra.Command {
	var f rewrapFlags
	cmd := &cobra.Command{
		Use:   "rewrap [STORE]",
		Short: "Seal a ring to the members of a new roster",
		Long: `Seal a ring to the members of a new roster. A member that was removed cannot open
rings written from then on, but still has the keys that it knew: the command says
until when these are valid. If that is too long, revoke them, or sign a roster of
the next epoch.

If the roster is of a later epoch, all earlier keys are burnt: the ring gets new
keys that issue at once, and tokens of any other key are rejected. If the ring in
the store cannot be read any more, pass --protection.`,
		Example: `  waybill keys rewrap shop.ring --roster shop.roster --domain shop --identity me.id \
    --root-public "$(cat shop.root.pub)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.sealedFlags.register(cmd)
	f.policyFlags.register(cmd)
	cmd.Flags().Lookup("roster").Usage = "file of the new signed roster"
	registerProtections(cmd, &f.names, "those that the ring can issue; for new keys of a later epoch")
	return cmd
}

func (f *rewrapFlags) run(cmd *cobra.Command, args []string) error {
	protections, err := parseProtections("--protection", f.names)
	if err != nil {
		return err
	}
	policy, err := f.policy(protections)
	if err != nil {
		return err
	}
	if f.roster == "" {
		return errNoRoster
	}
	s, _, err := f.find(args, 0)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := s.timeout(cmd)
	defer cancel()
	blob, err := s.load(ctx)
	if err != nil {
		return err
	}
	before, err := s.before(blob, f.roster)
	burnt := err != nil && len(protections) > 0 // of what cannot be read only a burn makes something
	if err != nil && !burnt {
		return judged(err)
	}
	old := s.wrapper.Roster()
	if err := s.learn(f.roster); err != nil {
		return err
	}
	roster := s.wrapper.Roster()
	if burnt && roster.Epoch < 2 {
		return &failure{exitFailure, err, "only a roster of a later epoch can replace a ring that cannot be read"}
	}
	if !burnt && roster.Epoch > before.set.Epoch() {
		if burnt = true; len(protections) == 0 {
			policy.Protections = issuing(before.set)
		}
	}
	var set *keyring.Set
	if burnt {
		set, err = firstKeys(policy, roster)
	} else {
		set, err = before.set.Prune(time.Now(), 2*policy.MaxSkew).With()
	}
	if err != nil {
		return judged(err)
	}
	if err := s.write(ctx, blob.Revision, set); err != nil {
		return err
	}
	say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: %s, sealed to the %d members of roster %d",
		s.name, set, len(roster.Members), roster.Seq))
	if burnt {
		say(cmd.ErrOrStderr(), fmt.Sprintf("all keys before epoch %d are burnt", roster.Epoch))
		return printMade(cmd, f.out, s.name, set, set.Keys())
	}
	reportLeavers(cmd, old, roster, before)
	return printMade(cmd, f.out, s.name, set, nil)
}

// before opens a ring under the roster that it came with, so that one whose writer is no longer a
// member can be taken over. After the end of that roster only the new one can let the ring in.
func (s *sealedRing) before(blob keyring.Blob, roster string) (*sealedView, error) {
	v, err := unsealed(s.wrapper, s.domain, blob)
	if !errors.Is(err, agering.ErrExpired) {
		return v, err
	}
	if err := s.learn(roster); err != nil {
		return nil, err
	}
	return unsealed(s.wrapper, s.domain, blob)
}

// reportLeavers names who is no longer a member, and what of the ring was theirs.
func reportLeavers(cmd *cobra.Command, old, roster *agering.Roster, v *sealedView) {
	for _, m := range old.Members { // none is known to leave if the roster before has ended
		if roster.Member(m.Name) == nil {
			say(cmd.ErrOrStderr(), fmt.Sprintf("%s is no longer a member, and can issue with the keys that it knew until %s",
				m.Name, stamp(lastExpiry(v.set))))
		}
	}
	if by := roster.Member(v.by); by == nil || !by.MayPropose {
		say(cmd.ErrOrStderr(), fmt.Sprintf("%s wrote the ring last and may no longer propose: if it was compromised, "+
			"sign a roster of the next epoch, because it may have added a key", v.by))
	}
}

// lastExpiry is when the last of the keys that can issue ends.
func lastExpiry(set *keyring.Set) time.Time {
	end := time.Now()
	for _, k := range set.Keys() {
		if t := k.Times(); k.CanIssue() && t.Expires.After(end) {
			end = t.Expires
		}
	}
	return end
}
