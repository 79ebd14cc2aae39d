package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/waybill-go/waybill/internal/secretfile"
)

// File is a [Source] that reads a ring from a file.
type File string

// LoadFile reads the ring in a file and follows its changes; see [Follow]. It rejects a file with
// secret keys that users other than its owner and group can read.
func LoadFile(ctx context.Context, path string, opts ...Option) (*Ring, error) {
	ring, err := Follow(ctx, File(path), opts...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; \"waybill keys new\" makes a ring", err)
	}
	return ring, err
}

// Load reads the file. Writers must replace it by renaming a complete file, as "waybill keys" and
// Kubernetes do.
func (f File) Load(context.Context) (Blob, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return Blob{}, fmt.Errorf("keyring: %w", err)
	}
	if !info.Mode().IsRegular() { // before it is opened: a pipe would wait for its writer
		return Blob{}, fmt.Errorf("keyring: %s is not a regular file", f)
	}
	file, err := os.Open(string(f))
	if err != nil {
		return Blob{}, fmt.Errorf("keyring: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil { // of what was opened, which may be another one by now
		return Blob{}, fmt.Errorf("keyring: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxSealed+1))
	if err != nil {
		return Blob{}, fmt.Errorf("keyring: %w", err)
	}
	if err := checkSize(data); err != nil {
		return Blob{}, fmt.Errorf("keyring: %s: %w", f, err)
	}
	if err := f.checkMode(info.Mode(), data); err != nil {
		return Blob{}, err
	}
	return Blob{Data: data}, nil
}

func checkSize(data []byte) error {
	if len(data) > MaxSealed || len(data) > MaxBytes && !IsWrapped(data) {
		return fmt.Errorf("the ring is over the limit of %d bytes, or %d bytes if it is sealed", MaxBytes, MaxSealed)
	}
	return nil
}

// checkMode rejects secrets that every user of the machine can read, and any ring that every user
// can replace. Public and sealed rings may be readable.
func (f File) checkMode(mode fs.FileMode, data []byte) error {
	others := mode.Perm() & 0o007
	readable := IsWrapped(data) || !hasSecrets(data)
	switch {
	case runtime.GOOS == "windows" || others == 0 || others&0o002 == 0 && readable:
		return nil
	case readable:
		return fmt.Errorf("keyring: %s can be replaced by every user (mode %04o): run: chmod o-w %s", f, mode.Perm(), f)
	}
	return fmt.Errorf("keyring: %w", secretfile.CheckMode(string(f), mode))
}

// IsWrapped reports whether data has the form of a ring that a [Wrapper] of this module has sealed.
// Such a ring may be stored where others can read it. For a plain ring, and for anything else, it
// returns false.
func IsWrapped(data []byte) bool {
	var ring struct {
		Version int             `json:"v"`
		Kind    string          `json:"kind"`
		Cipher  []byte          `json:"ct"`
		Keys    json.RawMessage `json:"keys"`
	}
	return json.Unmarshal(data, &ring) == nil && ring.Keys == nil && len(ring.Cipher) > 0 &&
		(ring.Version > 0 || ring.Kind == sharedKind)
}

// secretMembers are the members of a JWK that are secret (RFC 7517 and 7518, section 6; "priv" is of
// the keys of ML-DSA).
var secretMembers = []string{"k", "d", "p", "q", "dp", "dq", "qi", "oth", "priv"}

// hasSecrets reports whether data is anything other than a JWK Set of public halves. Names are
// compared as encoding/json reads them, in any case.
func hasSecrets(data []byte) bool {
	var file struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if parseFile(data, &file, false) != nil || len(file.Keys) == 0 {
		return true
	}
	for _, k := range file.Keys {
		for name, value := range k {
			secret := slices.ContainsFunc(secretMembers, func(s string) bool { return strings.EqualFold(s, name) })
			if secret && string(value) != `""` && string(value) != "null" {
				return true
			}
		}
	}
	return false
}
