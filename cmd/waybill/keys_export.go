package main

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

func newKeysExport() *cobra.Command {
	var (
		f              sealedFlags
		public, escrow bool
		to             []string
	)
	cmd := &cobra.Command{
		Use:   "export [STORE]",
		Short: "Print the public halves, or all keys sealed to a recipient",
		Long: `Print the content of a sealed ring: with --public the public halves of its keys for
public waybills as a JWK Set, with --escrow the whole ring, sealed to the age
recipients of -r. Secret keys cannot be exported without a seal.

The output of --escrow is an age file; decrypted, it is a ring as "waybill keys
new" makes.`,
		Example: `  waybill keys export shop.ring --public --domain shop --identity me.id --root-public "$(cat shop.root.pub)"
  waybill keys export shop.ring --escrow -r age1… --domain shop --identity me.id --root-public "$(cat shop.root.pub)"
  age -d -i safe.key shop.escrow | waybill keys list -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if public == escrow {
				return usage("pass either --public, or --escrow and -r")
			}
			recipients, err := parseRecipients(to)
			if err != nil {
				return err
			}
			if escrow == (len(recipients) == 0) {
				return usage("--escrow and -r must be used together, as in --escrow -r age1…")
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
			if public {
				return printPublic(cmd, v.set, "make one with the ring: waybill keys init --protection public")
			}
			sealed, err := escrowed(v.set, recipients)
			if err != nil {
				return judged(err)
			}
			say(cmd.ErrOrStderr(), fmt.Sprintf("%s, sealed to %d recipients: anyone who opens it can issue tokens", v.set, len(recipients)))
			return write(cmd, sealed)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&public, "public", false, "print the public halves")
	cmd.Flags().BoolVar(&escrow, "escrow", false, "print the whole ring, sealed to the recipients of -r")
	cmd.Flags().StringArrayVarP(&to, "recipient", "r", nil, "age recipient, age1…; may be repeated")
	complete(cmd, "recipient")
	return cmd
}

func parseRecipients(to []string) ([]age.Recipient, error) {
	var out []age.Recipient
	for _, text := range to {
		if x, err := age.ParseX25519Recipient(text); err == nil {
			out = append(out, x)
		} else if h, err := age.ParseHybridRecipient(text); err == nil {
			out = append(out, h)
		} else {
			return nil, usage("-r %.64q is not an age recipient (age1…)", text)
		}
	}
	return out, nil
}

// escrowed is the ring as an age file in letters.
func escrowed(set *keyring.Set, to []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	letters := armor.NewWriter(&b)
	in, err := age.Encrypt(letters, to...)
	if err != nil {
		return nil, err
	}
	if _, err = in.Write(set.SecretJWKS()); err == nil {
		err = in.Close()
	}
	if err == nil {
		err = letters.Close()
	}
	return b.Bytes(), err
}

// printPublic prints the public halves of a set, if it has any.
func printPublic(cmd *cobra.Command, set *keyring.Set, advice string) error {
	for _, k := range set.Keys() {
		if k.Protection() == keyring.Public {
			return write(cmd, set.PublicJWKS())
		}
	}
	return &failure{exitKey, errors.New("the ring has no key for public waybills"), advice}
}
