package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, extend and list key rings",
		Long: `Make, extend and list key rings.

A ring is a JWK Set in a file. Every key in it opens tokens from the start; the
newest one whose time has come issues. So a rotation is one command and a copy
of the file to every node.`,
		Example: `  waybill keys new ring.jwks --domain shop
  waybill keys new ring.jwks --add
  waybill keys list ring.jwks
  waybill keys public ring.jwks`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysNew(), newKeysList(), newKeysPublic())
	return cmd
}

func newKeysPublic() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "public FILE",
		Short: "Print the public halves as a JWK Set",
		Long: `Print the public halves of a ring's EdDSA keys as a JWK Set: what a gateway,
an edge or another domain needs to verify public waybills. It is a ring itself,
and cannot issue. FILE may be "-" for standard input. The output is JSON.`,
		Example: `  waybill keys public ring.jwks > public.jwks
  waybill open --ring public.jwks token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := readSet(cmd, args[0])
			if err != nil {
				return err
			}
			for _, k := range set.Keys() {
				if k.Algorithm() == keyring.EdDSA {
					return write(cmd, set.PublicJWKS())
				}
			}
			return &failure{exitKey, errors.New("the ring has no EdDSA key, so nothing of it is public"),
				"add one with: waybill keys new FILE --add --alg EdDSA"}
		},
	}
	out.register(cmd)
	return cmd
}
