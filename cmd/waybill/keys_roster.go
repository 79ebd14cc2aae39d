package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/internal/replace"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

const rosterLife = 365 * day

func newKeysRoster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roster",
		Short: "Sign and show the list of members of a trust domain",
		Long: `Sign and show rosters. A roster is the list of the members of a trust domain, signed
by the root. It contains no secret, and is stored with the ring.`,
		Example: `  waybill keys roster sign shop.roster --root shop.root --domain shop --members members
  waybill keys roster show shop.roster --root-public "$(cat shop.root.pub)"`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysRosterSign(), newKeysRosterShow())
	return cmd
}

// rosterFlags are the flags of "keys roster sign".
type rosterFlags struct {
	out     output
	root    string
	domain  string
	add     []string
	list    string
	remove  []string
	expires duration
	epoch   uint64
}

func newKeysRosterSign() *cobra.Command {
	f := rosterFlags{expires: duration(rosterLife)}
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign the first roster, or the next one",
		Long: `Sign a roster. If FILE contains a roster, sign the next one: --member adds or
replaces a member, --remove removes one, and --members replaces all of them, with
one line for each member. Lines that begin with # are skipped.

A member line is the line that "waybill keys identity new" printed, followed by its
roles: may-propose to add keys, may-revoke to revoke them.

--epoch burns all keys of earlier epochs, including keys that only a thief ever
saw. Run "waybill keys rewrap" to seal the ring to the new roster.`,
		Example: `  waybill keys roster sign shop.roster --root shop.root --domain shop --members members
  waybill keys roster sign shop.roster --root shop.root --member "$(cat bills.member)"
  waybill keys roster sign shop.roster --root shop.root --remove orders
  waybill keys roster sign shop.roster --root shop.root --epoch 2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.out.register(cmd)
	cmd.Flags().StringVar(&f.root, "root", "", "file of the root")
	cmd.Flags().StringVar(&f.domain, "domain", "", "trust domain; required for the first roster")
	cmd.Flags().StringArrayVar(&f.add, "member", nil, "member line to add or replace; may be repeated")
	cmd.Flags().StringVar(&f.list, "members", "", `file with the lines of all members, "-" for standard input`)
	cmd.Flags().StringArrayVar(&f.remove, "remove", nil, "name of a member to remove; may be repeated")
	cmd.Flags().Var(&f.expires, "expires", "time until services reject the roster and every ring under it")
	cmd.Flags().Uint64Var(&f.epoch, "epoch", 0, "epoch of the keys (default the epoch of the previous roster, or 1)")
	cmd.MarkFlagsMutuallyExclusive("members", "remove")
	complete(cmd, "domain")
	complete(cmd, "member")
	complete(cmd, "remove")
	complete(cmd, "epoch")
	return cmd
}

func (f *rosterFlags) run(cmd *cobra.Command, path string) error {
	if f.root == "" {
		return usage("--root is missing: pass the file that waybill keys root new made")
	}
	if f.expires == 0 {
		return usage("--expires must be greater than zero")
	}
	root, err := agering.LoadRoot(f.root)
	if err != nil {
		return judged(err)
	}
	var next *agering.Roster
	err = replace.File(cmd.Context(), path, func(file *os.File) error {
		before, err := rosterBefore(path, root.Public())
		if err != nil {
			return err
		}
		if next, err = f.next(cmd, before); err != nil {
			return err
		}
		signed, err := next.Sign(root)
		if err != nil {
			return usage("%s", message(err))
		}
		if _, err := file.Write(signed); err != nil {
			return err
		}
		return file.Chmod(0o644)
	})
	if err != nil {
		return judged(err)
	}
	say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: roster %d of %s, %d members, expires %s", path, next.Seq, next.Domain,
		len(next.Members), stamp(next.Expires)))
	if next.Seq > 1 {
		say(cmd.ErrOrStderr(), "seal the ring to it with: waybill keys rewrap")
	}
	return printRoster(cmd, f.out, next)
}

// rosterBefore reads the roster to go on from; nil if there is none.
func rosterBefore(path string, root agering.PublicRoot) (*agering.Roster, error) {
	signed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return agering.VerifyRoster(signed, root)
}

func (f *rosterFlags) next(cmd *cobra.Command, before *agering.Roster) (*agering.Roster, error) {
	now := time.Now().Truncate(time.Second)
	next := &agering.Roster{Domain: f.domain, Seq: 1, Epoch: max(1, f.epoch), Expires: now.Add(time.Duration(f.expires))}
	if before != nil {
		if f.domain != "" && f.domain != before.Domain {
			return nil, fmt.Errorf("%w: the roster is of %s, not %s", keyring.ErrDomain, before.Domain, f.domain)
		}
		next.Domain, next.Seq, next.Members = before.Domain, before.Seq+1, slices.Clone(before.Members)
		next.Epoch, next.EpochStart = max(before.Epoch, f.epoch), before.EpochStart
		if f.epoch != 0 && f.epoch < before.Epoch {
			return nil, usage("--epoch %d: the roster is in epoch %d, and the epoch cannot fall", f.epoch, before.Epoch)
		}
	}
	if next.Domain == "" {
		return nil, usage("--domain is missing: pass the trust domain of the roster, as in --domain shop")
	}
	if before == nil && next.Epoch > 1 || before != nil && next.Epoch > before.Epoch {
		next.EpochStart = now
	}
	return next, f.members(cmd, next)
}

// members changes those of the roster before.
func (f *rosterFlags) members(cmd *cobra.Command, next *agering.Roster) error {
	lines := f.add
	if f.list != "" {
		text, err := readInput(cmd, f.list, agering.MaxRoster)
		if err != nil {
			return err
		}
		next.Members = nil
		listed := memberLines(text)
		lines = append(listed, f.add...)
	}
	for _, name := range f.remove {
		i := slices.IndexFunc(next.Members, func(m agering.Member) bool { return m.Name == name })
		if i < 0 {
			return usage("--remove %s: the roster has no such member", name)
		}
		next.Members = slices.Delete(next.Members, i, i+1)
	}
	given := map[string]bool{}
	for _, line := range lines {
		m, err := parseMember(line)
		if err != nil {
			return err
		}
		if given[m.Name] {
			return usage("member %s is listed twice", m.Name)
		}
		given[m.Name] = true
		next.Members = slices.DeleteFunc(next.Members, func(o agering.Member) bool { return o.Name == m.Name })
		next.Members = append(next.Members, m)
	}
	if len(next.Members) == 0 {
		return usage("the roster has no members: pass --members FILE or --member LINE")
	}
	return nil
}

// memberLines are the lines of a text without comments.
func memberLines(text []byte) []string {
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

func newKeysRosterShow() *cobra.Command {
	var (
		out   output
		roots []string
	)
	cmd := &cobra.Command{
		Use:     "show FILE",
		Short:   "Verify a roster and show its members",
		Long:    `Verify a roster with the public lines of the roots and show its members.`,
		Example: `  waybill keys roster show shop.roster --root-public "$(cat shop.root.pub)"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := parseRoots(roots)
			if err != nil {
				return err
			}
			signed, err := readRoster(args[0])
			if err != nil {
				return err
			}
			r, err := agering.VerifyRoster(signed, public...)
			if err != nil {
				return judged(err)
			}
			return printRoster(cmd, out, r)
		},
	}
	out.register(cmd)
	registerRoots(cmd, &roots)
	complete(cmd, "root-public")
	return cmd
}

type shownMember struct {
	Name       string `json:"name"`
	Recipient  string `json:"recipient"`
	MayPropose bool   `json:"may_propose"`
	MayRevoke  bool   `json:"may_revoke"`
}

type shownRoster struct {
	Domain     string        `json:"domain"`
	Seq        uint64        `json:"seq"`
	Epoch      uint64        `json:"epoch"`
	EpochStart string        `json:"epoch_start,omitempty"`
	Expires    string        `json:"expires"`
	Expired    bool          `json:"expired"`
	Members    []shownMember `json:"members"`
}

func showRoster(r *agering.Roster) shownRoster {
	s := shownRoster{Domain: r.Domain, Seq: r.Seq, Epoch: r.Epoch, Expires: stamp(r.Expires),
		Expired: r.Valid(time.Now()) != nil}
	if !r.EpochStart.IsZero() {
		s.EpochStart = stamp(r.EpochStart)
	}
	for _, m := range r.Members {
		s.Members = append(s.Members, shownMember{m.Name, m.Recipient, m.MayPropose, m.MayRevoke})
	}
	slices.SortFunc(s.Members, func(a, b shownMember) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func printRoster(cmd *cobra.Command, out output, r *agering.Roster) error {
	s := showRoster(r)
	if out == jsonOutput {
		return writeJSON(cmd, s)
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, rosterLine(r))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tMAY PROPOSE\tMAY REVOKE\tRECIPIENT")
	word := map[bool]string{true: "yes", false: "no"}
	for _, m := range s.Members {
		recipient := m.Recipient
		if len(recipient) > 64 { // a hybrid one has 2 kB
			recipient = recipient[:63] + "…"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Name, word[m.MayPropose], word[m.MayRevoke], recipient)
	}
	w.Flush()
	return write(cmd, b.Bytes())
}

// rosterLine is the heading of the members.
func rosterLine(r *agering.Roster) string {
	now, ends := time.Now(), "expires "
	if r.Valid(now) != nil {
		ends = "EXPIRED "
	}
	return fmt.Sprintf("roster %d of %s, epoch %d, %d members, %s%s (%s)", r.Seq, r.Domain, r.Epoch, len(r.Members),
		ends, stamp(r.Expires), distance(r.Expires, now))
}
