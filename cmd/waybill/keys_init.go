package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// initFlags are the flags of "keys init".
type initFlags struct {
	sealedFlags
	policyFlags
	names    []string
	from     string
	replicas int
}

func newKeysInit() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init [STORE]",
		Short: "Make the first sealed ring of a domain",
		Long: `Make the first keys of a trust domain, seal them to the members of the roster and
store them in STORE, a file, or in a NATS bucket, which is created if it does not
exist. A store that has a ring is not changed. Services never create a ring.

With --from, use the keys of a plain ring: one that your services have used so far,
or one from escrow. Its revoked keys stay revoked.`,
		Example: `  waybill keys init shop.ring --domain shop --identity me.id --roster shop.roster \
    --root-public "$(cat shop.root.pub)"
  waybill keys init --nats nats://nats.internal --bucket waybill --creds me.creds --domain shop --identity me.id \
    --roster shop.roster --root-public "$(cat shop.root.pub)"
  age -d -i safe.key shop.escrow | waybill keys init shop.ring --from - --domain shop --identity me.id \
    --roster shop.roster --root-public "$(cat shop.root.pub)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.sealedFlags.register(cmd)
	f.policyFlags.register(cmd)
	cmd.Flags().Lookup("roster").Usage = "file of the signed roster"
	registerProtections(cmd, &f.names, "all")
	cmd.Flags().StringVar(&f.from, "from", "", `file of a plain ring whose keys to use, "-" for standard input`)
	cmd.MarkFlagsMutuallyExclusive("protection", "from")
	cmd.Flags().IntVar(&f.replicas, "replicas", 1, "servers that store a new NATS bucket: 1, 3 or 5")
	return cmd
}

func (f *initFlags) run(cmd *cobra.Command, args []string) error {
	protections, err := parseProtections("--protection", f.names)
	if err != nil {
		return err
	}
	if len(protections) == 0 {
		protections = allProtections
	}
	policy, err := f.policy(protections)
	if err != nil {
		return err
	}
	if f.roster == "" {
		return errNoRoster
	}
	s, _, err := f.open(args, 0)
	if err != nil {
		return err
	}
	defer s.close()
	set, err := f.keys(cmd, policy, s.wrapper.Roster())
	if err != nil {
		return err
	}
	ctx, cancel := s.timeout(cmd)
	defer cancel()
	if s.conn != nil {
		if err := natskv.Create(ctx, s.conn, f.bucket, natskv.Replicas(f.replicas)); err != nil {
			return judged(err)
		}
	}
	err = keyring.Create(ctx, s.store, s.wrapper, set)
	if errors.Is(err, keyring.ErrConflict) {
		return &failure{exitFailure, fmt.Errorf("%s has a ring and was not changed", s.name), "see waybill keys status"}
	}
	if err != nil {
		return judged(err)
	}
	say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: %s, sealed to %d members", s.name, set, len(s.wrapper.Roster().Members)))
	return printMade(cmd, f.out, s.name, set, set.Keys())
}

// keys are those to begin with.
func (f *initFlags) keys(cmd *cobra.Command, p keyring.Policy, r *agering.Roster) (*keyring.Set, error) {
	if f.from == "" {
		set, err := firstKeys(p, r)
		return set, judged(err)
	}
	set, err := readSet(cmd, f.from)
	if err != nil {
		return nil, err
	}
	if set.Domain() != r.Domain {
		return nil, judged(fmt.Errorf("%w: the ring is of %s, not %s", keyring.ErrDomain, set.Domain(), r.Domain))
	}
	if len(issuing(set)) == 0 {
		return nil, &failure{exitKey, errors.New("the plain ring has no key that can issue"),
			"leave out --from to make new keys"}
	}
	return set.WithEpoch(r.Epoch), nil
}

// firstKeys makes the first keys of the roster's epoch. None is older than that.
func firstKeys(p keyring.Policy, r *agering.Roster) (*keyring.Set, error) {
	now := time.Now()
	if least := r.EpochStart.Add(2 * p.MaxSkew); now.Before(least) {
		now = least // Genesis goes back by as much
	}
	set, err := p.Genesis(r.Domain, now)
	if err != nil {
		return nil, err
	}
	return set.WithEpoch(r.Epoch), nil
}
