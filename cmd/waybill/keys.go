package main

import "github.com/spf13/cobra"

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, extend and list key rings",
		Long: `Make, extend and list key rings.

A ring is a JWK Set in a file. Every key in it opens tokens from the start; the
active key issues them. To rotate, add a key and copy the file to every node: new,
list, public.

A sealed ring can be opened only by the members of a roster, so it may be stored
in a bucket or a Secret, and the services rotate it automatically: root, identity,
roster, init, status, rotate, revoke, rewrap, export, doctor.`,
		Example: `  waybill keys new ring.jwks --domain shop
  waybill keys new ring.jwks --add
  waybill keys list ring.jwks
  waybill keys public ring.jwks

  waybill keys identity new orders.id --name orders --may-propose
  waybill keys status shop.ring --domain shop --identity me.id --root-public "$(cat shop.root.pub)"`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysNew(), newKeysList(), newKeysPublic())
	cmd.AddCommand(newKeysRoot(), newKeysIdentity(), newKeysRoster())
	cmd.AddCommand(newKeysInit(), newKeysStatus(), newKeysRotate(), newKeysRevoke(), newKeysRewrap(), newKeysExport(), newKeysDoctor())
	return cmd
}

func newKeysPublic() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "public FILE",
		Short: "Print the public halves as a JWK Set",
		Long: `Print the public halves of a ring's keys for public waybills as a JWK Set. A
gateway, an edge or another domain verifies public waybills with it. The output
is itself a ring, one that cannot issue. FILE may be "-" for standard input. The output is JSON.`,
		Example: `  waybill keys public ring.jwks > public.jwks
  waybill open --ring public.jwks token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := readSet(cmd, args[0])
			if err != nil {
				return err
			}
			return printPublic(cmd, set, "add one with: waybill keys new FILE --add --protection public")
		},
	}
	out.register(cmd)
	return cmd
}
