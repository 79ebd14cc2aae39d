package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/waybill-go/waybill/internal/secretfile"
)

// File is a [Source] that reads a ring from a file.
type File string

// LoadFile opens the ring in a file and follows its changes; see [Follow]. A file with secret keys that others than its
// owner and group can read is refused.
func LoadFile(ctx context.Context, path string, opts ...Option) (*Ring, error) {
	return Follow(ctx, File(path), opts...)
}

// Load reads the file. Writers replace it by renaming a complete file over it, as "waybill keys" and Kubernetes do.
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
		return fmt.Errorf("a ring is over the limit of %d bytes, or of %d if it is sealed", MaxBytes, MaxSealed)
	}
	return nil
}

// checkMode refuses a secret that everybody on the machine can read, and any ring that everybody can replace. Public and
// sealed rings may be readable.
func (f File) checkMode(mode fs.FileMode, data []byte) error {
	others := mode.Perm() & 0o007
	readable := IsWrapped(data) || !holdsSecrets(data)
	switch {
	case runtime.GOOS == "windows" || others == 0 || others&0o002 == 0 && readable:
		return nil
	case readable:
		return fmt.Errorf("keyring: %s can be replaced by every user (mode %04o): run: chmod o-w %s", f, mode.Perm(), f)
	}
	return fmt.Errorf("keyring: %w", secretfile.CheckMode(string(f), mode))
}

// IsWrapped reports whether data has the form of a ring that a [Wrapper] of this project has sealed: it can lie where others
// read it. A plain ring has not, and neither has what is none.
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

// holdsSecrets reports whether data is anything but a ring of public halves.
func holdsSecrets(data []byte) bool {
	var file file
	if parseFile(data, &file, false) != nil {
		return true
	}
	for _, k := range file.Keys {
		if k.K != "" || k.D != "" {
			return true
		}
	}
	return false
}
