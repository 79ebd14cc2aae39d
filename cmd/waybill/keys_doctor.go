package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

// doctorFlags are the flags of "keys doctor".
type doctorFlags struct {
	sealedFlags
	policyFlags
	policy  keyring.Policy
	store   string // the file of the ring; "" over NATS
	edges   []string
	streams []string
	monitor string
	idle    duration
}

func newKeysDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [STORE]",
		Short: "List the risks to a sealed ring, each with the command that fixes it",
		Long: `Check a sealed ring, its store and its nodes, and list each risk with the command
that fixes it. The command changes nothing. A check that is not possible from here
is listed as skipped, with what it requires. Exit code 7 means that there are risks.

` + checkList() + `
The last five are for NATS only. The check rights is about the credentials in
--creds: also run the command with a service's identity and credentials. Commands
that begin with "nats" are commands of the NATS CLI.`,
		Example: `  waybill keys doctor shop.ring --domain shop --identity me.id --root-public "$(cat shop.root.pub)" --edge cart
  waybill keys doctor --nats nats://nats.internal --bucket waybill --creds me.creds --domain shop --identity me.id \
    --root-public "$(cat shop.root.pub)" --stream ORDERS --monitor http://nats.internal:8222 -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.sealedFlags.register(cmd)
	f.policyFlags.register(cmd)
	cmd.Flags().StringArrayVar(&f.edges, "edge", nil, "name of a member that is reachable from the internet; may be repeated")
	cmd.Flags().StringArrayVar(&f.streams, "stream", nil,
		"stream whose messages carry waybills; may be repeated (default all visible streams)")
	cmd.Flags().StringVar(&f.monitor, "monitor", "", "address of the server's monitoring port, such as http://nats.internal:8222")
	f.idle = duration(2 * time.Hour)
	cmd.Flags().Var(&f.idle, "idle", "time for which your edges resume an idle journey, as in waybillhttp.Idle")
	complete(cmd, "edge")
	complete(cmd, "stream")
	complete(cmd, "monitor")
	return cmd
}

func (f *doctorFlags) run(cmd *cobra.Command, args []string) (err error) {
	if f.policy, err = f.policyFlags.policy(nil); err != nil {
		return err
	}
	if u, err := url.Parse(f.monitor); err != nil || u.User != nil || f.monitor != "" && u.Scheme != "http" && u.Scheme != "https" {
		return usage("--monitor must be an address such as http://nats.internal:8222, without a password")
	}
	f.store = strings.Join(args, " ")
	c := newCheckup(f.domain, f.store)
	c.run("files", func() { f.files(c, args) })
	s, _, err := f.open(args, 0)
	if err == nil {
		defer s.close()
		c.Store = s.name
		ctx, cancel := s.timeout(cmd)
		defer cancel()
		err = f.examine(ctx, c, s)
	}
	if err != nil && len(c.Risks) == 0 {
		return err
	}
	if err != nil { // probably because of the risks
		c.check = "sealed"
		c.skip("the ring cannot be read, so the other checks cannot be made: %s", message(err))
	}
	return c.print(cmd, f.out)
}

// examine makes all checks except the check of the files.
func (f *doctorFlags) examine(ctx context.Context, c *checkup, s *sealedRing) error {
	began := time.Now()
	blob, err := s.load(ctx)
	if err != nil {
		return err
	}
	answered := time.Now()
	var v *sealedView
	c.run("sealed", func() { v = f.sealed(c, s, blob) })
	if roster := s.wrapper.Roster(); roster != nil {
		c.run("roster", func() { f.roster(c, roster) })
		c.run("roles", func() { f.roles(c, s, roster) })
	}
	if v != nil {
		c.run("keys", func() { f.keys(c, v.set) })
	}
	c.run("size", func() { f.size(c, s, len(blob.Data)) })
	c.run("clock", func() { f.clock(c, blob.At, began, answered) })
	if s.bucket == nil {
		return nil
	}
	c.run("nodes", func() { f.nodes(ctx, c, s, v) })
	c.run("bucket", func() { f.bucketOf(ctx, c, s) })
	c.run("sync", func() { f.sync(ctx, c) })
	c.run("rights", func() { f.rights(ctx, c, s) })
	c.run("streams", func() { f.waiting(ctx, c, s) })
	return nil
}

// where returns a command with the flags of the ring, so that a fix can be pasted as it is.
func (f *doctorFlags) where(args ...string) string {
	out := strings.Join(slices.DeleteFunc(args, func(arg string) bool { return arg == "" }), " ")
	if f.nats != "" {
		out += fmt.Sprintf(" --nats %s --bucket %s", f.nats, f.bucket)
		if f.creds != "" {
			out += " --creds " + f.creds
		}
	}
	out += fmt.Sprintf(" --domain %s --identity %s", f.domain, f.identity)
	for _, root := range f.roots {
		out += " --root-public " + root
	}
	return out
}

// rosterFile returns the file of the newest roster, or its name in the documentation.
func (f *doctorFlags) rosterFile() string {
	if f.sealedFlags.roster != "" {
		return f.sealedFlags.roster
	}
	return f.domain + ".roster"
}

// rewrap is the command that seals the ring to the newest roster.
func (f *doctorFlags) rewrap() string {
	return f.where("waybill keys rewrap", f.store, "--roster", f.rosterFile())
}

// sign is the command that makes the next roster and seals the ring to it.
func (f *doctorFlags) sign(args ...string) string {
	command := []string{"waybill keys roster sign", f.rosterFile(), "--root", f.domain + ".root"}
	return strings.Join(append(command, args...), " ") + " && " +
		f.rewrap()
}
