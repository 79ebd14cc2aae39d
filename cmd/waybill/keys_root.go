package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring/agering"
)

func newKeysRoot() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "root",
		Short:   "Make the operator's root",
		Long:    `Make the operator's root: the key that signs rosters.`,
		Example: `  waybill keys root new shop.root`,
		Args:    subcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysRootNew())
	return cmd
}

func newKeysRootNew() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a root and print its public line",
		Long: `Make the key that signs rosters, in a new file of mode 0600, and print its public
line, which every service needs in its configuration.

Anyone who has the file decides who is a member. Keep it offline: no service needs
it.`,
		Example: `  waybill keys root new shop.root > shop.root.pub`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := agering.NewRoot()
			if err := root.Save(args[0]); err != nil {
				return unsaved(args[0], err)
			}
			say(cmd.ErrOrStderr(), fmt.Sprintf("wrote %s: keep it offline, it decides who is a member", args[0]))
			return out.line(cmd, root.Public().String())
		},
	}
	out.register(cmd)
	return cmd
}

// line prints one public line.
func (o output) line(cmd *cobra.Command, public string) error {
	if o == jsonOutput {
		return writeJSON(cmd, struct {
			Public string `json:"public"`
		}{public})
	}
	return write(cmd, []byte(public+"\n"))
}

// unsaved tells why a secret was not written.
func unsaved(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &failure{exitFailure, fmt.Errorf("%s exists and was not changed", path), "pass another file name"}
	}
	return judged(err)
}
