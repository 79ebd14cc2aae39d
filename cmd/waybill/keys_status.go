package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeysStatus() *cobra.Command {
	var (
		f sealedFlags
		p policyFlags
	)
	cmd := &cobra.Command{
		Use:   "status [STORE]",
		Short: "Show a sealed ring, its keys, its roster and its nodes",
		Long: `Show a sealed ring: its generation, its writer, the roster, the keys with their
states and times, and what happens next. Over NATS it also shows which generation
each node has, if the nodes report it (natskv.Store.Answer). It never shows key
material.

  pending  opens tokens, issues later
  active   issues and opens tokens
  retired  opens tokens; a newer key issues
  gone     expired, opens nothing
  revoked  removed from the ring, opens nothing`,
		Example: `  waybill keys status shop.ring --domain shop --identity me.id --root-public "$(cat shop.root.pub)"
  waybill keys status --nats nats://nats.internal --bucket waybill --creds me.creds --domain shop --identity me.id \
    --root-public "$(cat shop.root.pub)" -o json`,
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
			nodes, err := s.nodes(ctx)
			if err != nil {
				return err
			}
			return printStatus(cmd, f.out, s, v, nodes, policy)
		},
	}
	f.register(cmd)
	p.register(cmd)
	return cmd
}

// nextKey is when the next key of a protection is to be made.
type nextKey struct {
	Protection keyring.Protection `json:"protection"`
	Due        string             `json:"due"`
	at         time.Time
}

func nextKeys(set *keyring.Set, p keyring.Policy) []nextKey {
	var out []nextKey
	for _, protection := range issuing(set) {
		at := dueAt(set, protection, p)
		out = append(out, nextKey{protection, stamp(at), at})
	}
	return out
}

func printStatus(cmd *cobra.Command, out output, s *sealedRing, v *sealedView, nodes []holder, p keyring.Policy) error {
	now, roster := time.Now(), s.wrapper.Roster()
	rows := listed(v.set, now, "waybill keys rotate")
	next := nextKeys(v.set, p)
	if out == jsonOutput {
		return writeJSON(cmd, struct {
			Domain     string      `json:"domain"`
			Generation uint64      `json:"generation"`
			Epoch      uint64      `json:"epoch"`
			By         string      `json:"by"`
			Size       int         `json:"size"`
			Roster     shownRoster `json:"roster"`
			Keys       []listedKey `json:"keys"`
			Next       []nextKey   `json:"next"`
			Nodes      []holder    `json:"nodes"`
		}{v.set.Domain(), v.set.Generation(), v.set.Epoch(), v.by, v.size, showRoster(roster), rows, next, nodes})
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "ring of %s, generation %d, epoch %d, written by %s, %d bytes\n",
		v.set.Domain(), v.set.Generation(), v.set.Epoch(), v.by, v.size)
	fmt.Fprintln(&b, rosterLine(roster))
	for _, n := range next {
		verb := "is due"
		if n.at.Before(now) {
			verb = "was due"
		}
		fmt.Fprintf(&b, "the next %s key %s to be made %s (%s)\n", n.Protection, verb, n.Due, distance(n.at, now))
	}
	b.Write(table(rows))
	b.WriteString(holders(s, v, nodes))
	return write(cmd, b.Bytes())
}
