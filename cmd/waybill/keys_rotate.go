package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeysRotate() *cobra.Command {
	var (
		f   sealedFlags
		p   policyFlags
		now bool
	)
	cmd := &cobra.Command{
		Use:   "rotate [STORE]",
		Short: "Add the next keys to a sealed ring",
		Long: `Add the next key of each protection to a sealed ring if it is due. Otherwise change
nothing, so a job may run the command at any interval. It is for files and Secrets;
over NATS the services rotate automatically.

With --now, add the keys even if none is due. They issue as soon as every node that
is in touch with the store can have them, 2 minutes from now, or at once if no
other key can issue.`,
		Example: `  waybill keys rotate shop.ring --domain shop --identity me.id --root-public "$(cat shop.root.pub)"
  waybill keys rotate shop.ring --now --domain shop --identity me.id --root-public "$(cat shop.root.pub)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := p.policy(nil)
			if err != nil {
				return err
			}
			s, _, err := f.open(args, 0)
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := s.timeout(cmd)
			defer cancel()
			v, err := s.read(ctx)
			if err != nil {
				return err
			}
			if now {
				return rotateNow(ctx, cmd, f.out, s, policy)
			}
			return rotateDue(ctx, cmd, f.out, s, v, policy)
		},
	}
	f.register(cmd)
	p.register(cmd)
	cmd.Flags().BoolVar(&now, "now", false, "add keys even if none is due")
	return cmd
}

func rotateNow(ctx context.Context, cmd *cobra.Command, out output, s *sealedRing, p keyring.Policy) error {
	var (
		made []*keyring.Key
		set  *keyring.Set
	)
	err := s.maintain(ctx, p, func(r *keyring.Ring) (err error) {
		made, err = r.Rotate(ctx)
		set = r.Set()
		return err
	})
	if err != nil {
		return err
	}
	return rotated(cmd, out, s, set, made)
}

func rotateDue(ctx context.Context, cmd *cobra.Command, out output, s *sealedRing, v *sealedView,
	p keyring.Policy) error {
	now := time.Now()
	var made []*keyring.Key
	for _, protection := range issuing(v.set) {
		due := dueAt(v.set, protection, p)
		if now.Before(due) {
			say(cmd.ErrOrStderr(), fmt.Sprintf("the next %s key is due %s (%s)", protection, stamp(due), distance(due, now)))
			continue
		}
		from := now.Add(p.Delay)
		if v.set.Active(protection, now, now.Add(p.TokenLife)) == nil {
			from = now.Add(p.MinDelay())
		}
		if next := last(v.set, protection).Times().NotBefore.Add(p.Period); next.After(from) {
			from = next
		}
		key, err := keyring.Generate(protection, keyring.Times{
			Created: now, NotBefore: from, Expires: from.Add(p.Period + p.Horizon + p.Slack)})
		if err != nil {
			return judged(err)
		}
		made = append(made, key)
	}
	if len(made) == 0 {
		return printMade(cmd, out, s.name, v.set, nil)
	}
	set, err := v.set.Prune(now, 2*p.MaxSkew).With(made...)
	if err != nil {
		return judged(err)
	}
	if err := s.write(ctx, v.revision, set); err != nil {
		return err
	}
	return rotated(cmd, out, s, set, made)
}

func rotated(cmd *cobra.Command, out output, s *sealedRing, set *keyring.Set, made []*keyring.Key) error {
	say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: %s", s.name, set))
	for _, k := range made {
		t := k.Times()
		say(cmd.ErrOrStderr(), fmt.Sprintf("%s key %s issues from %s, expires %s",
			k.Protection(), k.ID(), stamp(t.NotBefore), stamp(t.Expires)))
	}
	return printMade(cmd, out, s.name, set, made)
}

// dueAt is when the key after the newest of a protection is to be made.
func dueAt(set *keyring.Set, protection keyring.Protection, p keyring.Policy) time.Time {
	return last(set, protection).Times().NotBefore.Add(p.Period - p.Delay)
}

// last is the newest key of a protection, pending or not. The set has one.
func last(set *keyring.Set, protection keyring.Protection) *keyring.Key {
	for _, k := range set.Keys() { // newest first
		if k.Protection() == protection && k.CanIssue() {
			return k
		}
	}
	return nil
}
