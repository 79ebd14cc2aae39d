package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

// allProtections are all there are, in the order in which they are listed.
var allProtections = []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public}

// registerProtections registers --protection. The text byDefault says what applies without the
// flag.
func registerProtections(cmd *cobra.Command, names *[]string, byDefault string) {
	cmd.Flags().StringSliceVar(names, "protection", nil, "protections of the keys: signed, sealed, public")
	cmd.Flags().Lookup("protection").DefValue = byDefault
	complete(cmd, "protection", "signed", "sealed", "public")
}

// parseProtections parses the values of a flag. A name may be given once.
func parseProtections(flag string, names []string) ([]keyring.Protection, error) {
	var out []keyring.Protection
	for _, name := range names {
		p, err := keyring.ParseProtection(name)
		if err != nil {
			return nil, usage("%s: %s", flag, message(err))
		}
		if slices.Contains(out, p) {
			return nil, usage("%s: %s is given twice", flag, name)
		}
		out = append(out, p)
	}
	return out, nil
}
