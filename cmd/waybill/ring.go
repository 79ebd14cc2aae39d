package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/waybill-go/waybill/keyring"
)

// ringFlags name the ring that a command uses.
type ringFlags struct {
	path   string
	fd     uint
	domain string
}

func (f *ringFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "ring", "", `file of the key ring, "-" for standard input`)
	cmd.Flags().UintVar(&f.fd, "ring-fd", 0, "descriptor of the key ring, 3 or higher")
	cmd.Flags().StringVar(&f.domain, "domain", "",
		"trust domain that the ring must be of; required for a JWK Set of other software, which has none")
	cmd.MarkFlagsMutuallyExclusive("ring", "ring-fd")
}

// load reads the ring. Other is the name of the input that the command reads besides.
func (f *ringFlags) load(cmd *cobra.Command, other string) (*keyring.Ring, error) {
	if f.path == stdinName && other == stdinName {
		return nil, usage("standard input cannot be both the ring and another input: " +
			"pass a file for one of them, or use --ring-fd")
	}
	data, err := f.read(cmd)
	if err != nil {
		return nil, err
	}
	set, err := f.parse(data)
	if err != nil {
		return nil, err
	}
	for _, reason := range set.Skipped() {
		say(cmd.ErrOrStderr(), "skipped an entry of the JWK Set: "+reason.Error())
	}
	return keyring.NewRing(set), nil
}

func (f *ringFlags) read(cmd *cobra.Command) ([]byte, error) {
	if !cmd.Flags().Changed("ring-fd") {
		if f.path == "" {
			return nil, usage("--ring is missing: pass the file of the key ring; see %s --help", cmd.CommandPath())
		}
		return readRing(cmd, f.path)
	}
	if f.fd < 3 {
		return nil, usage("--ring-fd %d: must be 3 or higher, as in: waybill open --ring-fd 3 3< ring.jwks < token", f.fd)
	}
	name := fmt.Sprintf("descriptor %d", f.fd)
	file := os.NewFile(uintptr(f.fd), name)
	defer file.Close()
	return limited(file, name)
}

// parse reads the ring. One without a domain of its own was made by other software and is of the
// domain that the user names.
func (f *ringFlags) parse(data []byte) (*keyring.Set, error) {
	var own struct {
		Ring *string `json:"ring"`
	}
	if keyring.IsWrapped(data) {
		return nil, errSealed
	}
	if json.Unmarshal(data, &own) == nil && own.Ring == nil {
		if f.domain == "" {
			return nil, usage("the ring has no domain: if it is a JWK Set of other software, pass --domain")
		}
		set, err := keyring.ParseForeign(f.domain, data)
		return set, judged(err)
	}
	set, err := keyring.ParseSet(data)
	if err != nil {
		return nil, judged(err)
	}
	if f.domain != "" && f.domain != set.Domain() {
		return nil, judged(fmt.Errorf("%w: the ring is of %s, not %s", keyring.ErrDomain, set.Domain(), f.domain))
	}
	return set, nil
}

// readRing reads the bytes of a ring in a file or on standard input. A file that everybody can read
// is refused.
func readRing(cmd *cobra.Command, path string) ([]byte, error) {
	if path == stdinName {
		return limited(cmd.InOrStdin(), inputName(path))
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, usage("%s is not a regular file: pass a pipe as --ring - or --ring-fd N", path)
	}
	blob, err := keyring.File(path).Load(cmd.Context())
	return blob.Data, judged(err)
}

func limited(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, keyring.MaxBytes+1))
	if err != nil {
		return nil, judged(fmt.Errorf("%s cannot be read: %w", name, err))
	}
	return data, nil // ParseSet refuses what is over the limit
}

// readSet reads a ring that this program or a service of ours wrote.
func readSet(cmd *cobra.Command, path string) (*keyring.Set, error) {
	data, err := readRing(cmd, path)
	if err != nil {
		return nil, err
	}
	if keyring.IsWrapped(data) {
		return nil, errSealed
	}
	set, err := keyring.ParseSet(data)
	return set, judged(err)
}

var errSealed = &failure{exitFailure, errors.New("the ring is sealed"),
	"use waybill keys status to show it, or waybill keys export to unseal it"}
