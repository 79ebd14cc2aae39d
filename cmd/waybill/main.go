// Waybill makes key rings, and issues, opens and inspects waybills.
//
//	waybill keys new ring.jwks --domain shop
//	waybill issue --ring ring.jwks --claim 'cell="eu-3"' > token
//	waybill open --ring ring.jwks token
//	waybill inspect token
//
// Data goes to standard output, messages to standard error. Tokens and keys come from files,
// descriptors or standard input and never from the arguments, which every user of a machine can
// read. The exit code tells what was wrong; see "waybill --help".
//
// Integration tests: internal/integration/cli.
package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program: arguments in, exit code out.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := checkArgs(args)
	if err == nil {
		root := newRoot()
		root.SetArgs(args)
		root.SetIn(stdin)
		root.SetOut(stdout)
		root.SetErr(stderr)
		strictCompletion(root)
		err = execute(root)
	}
	if err != nil {
		say(stderr, message(err))
	}
	return exitCode(err)
}

// execute runs the command. Errors of cobra itself, before the command has begun, are wrong usage.
func execute(root *cobra.Command) error {
	cmd, err := root.ExecuteC()
	if err == nil {
		return nil
	}
	if f, ok := err.(*failure); ok {
		return f
	}
	return usage("%v; see %s --help", err, cmd.CommandPath())
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "waybill",
		Short: "Make key rings, issue, open and inspect waybills",
		Long: `Waybill makes key rings, and issues, opens and inspects waybills.

Data goes to standard output, messages to standard error. Tokens and keys are
read from files, descriptors or standard input ("-"), never from arguments.

` + exitCodes,
		Example: `  waybill keys new ring.jwks --domain shop
  waybill issue --ring ring.jwks --claim 'cell="eu-3"' > token
  waybill open --ring ring.jwks token
  waybill inspect token`,
		Version:       version().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("waybill {{.Version}}\n")
	root.SetHelpCommand(newHelp())
	root.AddCommand(newKeys(), newIssue(), newOpen(), newInspect(), newVersion())
	return root
}

// subcommand rejects arguments of a command that only has subcommands.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = ", did you mean " + near[0] + "?"
	}
	return usage("%s has no command %q%s; see %s --help", cmd.CommandPath(), args[0], hint, cmd.CommandPath())
}

// strictCompletion adds cobra's completion command, but for an exit code when there is no such
// shell. The streams of root are set before.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = subcommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.Example = "  waybill completion bash > /etc/bash_completion.d/waybill"
		}
	}
}

// newHelp is cobra's help command, but for an exit code when there is no such topic.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show the help of a command",
		Example: "  waybill help keys new",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usage("%v", err)
			}
			if err := subcommand(topic, rest); err != nil {
				return err
			}
			return topic.Help()
		},
	}
}
