package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring/agering"
)

// The words behind a member's line that say what it may do.
const (
	wordPropose = "may-propose"
	wordRevoke  = "may-revoke"
)

func newKeysIdentity() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "identity",
		Short:   "Make the identity of a service or an operator",
		Long:    `Make the identity of a service or an operator, which opens sealed rings.`,
		Example: `  waybill keys identity new orders.id --name orders`,
		Args:    subcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysIdentityNew())
	return cmd
}

func newKeysIdentityNew() *cobra.Command {
	var (
		out             output
		name            string
		hybrid          bool
		propose, revoke bool
	)
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make an identity and print its member line",
		Long: `Make the identity of a service or an operator, in a new file of mode 0600, and
print its member line for the operator who signs the roster. The file stays on the
machine where it was made; all processes of a service share it.

The roles at the end of the line are a request: only the roster grants them.
Services that rotate the ring automatically need --may-propose.`,
		Example: `  waybill keys identity new orders.id --name orders --may-propose
  waybill keys identity new me.id --name operator --may-propose --may-revoke`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usage("--name is missing: pass the name of the service, as in --name orders")
			}
			make := agering.NewIdentity
			if hybrid {
				make = agering.NewHybridIdentity
			}
			id, err := make(name)
			if err != nil {
				return usage("--name: %s", message(err))
			}
			if err := id.Save(args[0]); err != nil {
				return unsaved(args[0], err)
			}
			say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: anyone who reads it can act as %s", args[0], name))
			m := id.Public()
			m.MayPropose, m.MayRevoke = propose, revoke
			return out.line(cmd, memberLine(m))
		},
	}
	out.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the service, unique in the trust domain")
	cmd.Flags().BoolVar(&hybrid, "pq", false, "make it safe from quantum computers; all members must then be")
	cmd.Flags().BoolVar(&propose, wordPropose, false, "request the role of adding keys to the ring")
	cmd.Flags().BoolVar(&revoke, wordRevoke, false, "request the role of revoking keys")
	complete(cmd, "name")
	return cmd
}

// memberLine is a member with its roles.
func memberLine(m agering.Member) string {
	line := m.String()
	if m.MayPropose {
		line += " " + wordPropose
	}
	if m.MayRevoke {
		line += " " + wordRevoke
	}
	return line
}

// parseMember reads what memberLine returns.
func parseMember(line string) (agering.Member, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return agering.Member{}, usage("a member is empty: pass the line that waybill keys identity new printed")
	}
	m, err := agering.ParseMember(words[0])
	if err != nil {
		return m, usage("%s", message(err))
	}
	for _, word := range words[1:] {
		switch word {
		case wordPropose:
			m.MayPropose = true
		case wordRevoke:
			m.MayRevoke = true
		default:
			return m, usage("member %s: unknown role %q: use %s or %s", m.Name, word, wordPropose, wordRevoke)
		}
	}
	return m, nil
}
