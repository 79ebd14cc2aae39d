// Package keys is the operator's part of the demo: it writes the ring file that all services follow.
package keys

import (
	"os"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// Poll is how often a service reads the ring file.
const Poll = 200 * time.Millisecond

// lead is how long a new key waits until it may issue. It must be longer than the slowest service takes to read it.
// The times of a key are whole seconds, so at least half of this remains.
const lead = 2 * time.Second

// lifetime is longer than any demo runs.
const lifetime = 30 * 24 * time.Hour

// File is the ring file. Use it from one goroutine.
type File struct {
	path string
	set  *keyring.Set
}

// Swap is one change of the issuing key.
type Swap struct {
	Old, New string    // kids
	Active   time.Time // from when the new key issues; it opens from the start, and the old one goes on opening
}

// Create writes a ring of one key, which issues at once.
func Create(path, domain string) (*File, error) {
	key, err := generate(0)
	if err != nil {
		return nil, err
	}
	set, err := keyring.NewSet(domain, key)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, set: set}
	return f, f.write()
}

// Swap adds the next key to the file.
func (f *File) Swap() (Swap, error) {
	key, err := generate(lead)
	if err != nil {
		return Swap{}, err
	}
	swap := Swap{Old: f.set.Keys()[0].ID(), New: key.ID(), Active: key.Times().NotBefore}
	next, err := f.set.With(key)
	if err != nil {
		return Swap{}, err
	}
	f.set = next
	return swap, f.write()
}

func generate(lead time.Duration) (*keyring.Key, error) {
	now := time.Now()
	return keyring.Generate(keyring.HS256,
		keyring.Times{Created: now, NotBefore: now.Add(lead), Expires: now.Add(lifetime)})
}

// write replaces the file as a whole, so that no reader sees half of it.
func (f *File) write() error {
	next := f.path + ".next"
	if err := os.WriteFile(next, f.set.SecretJWKS(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.path)
}
