package keyring_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// What is no empty ring is not reported as one.
func TestFileStoreNotFound(t *testing.T) {
	dir := t.TempDir()
	noError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	noError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	putFile(t, filepath.Join(dir, "file"), "one")
	cases := []struct {
		name string
		path string
		want bool // ErrNotFound
	}{
		{"a folder without the file", "ring.jwks", true},
		{"no folder", "missing/ring.jwks", false},
		{"a dangling link", "dangling", false},
		{"a folder in its place", "folder", false},
		{"a file as the folder", "file/ring.jwks", false},
	}
	for _, c := range cases {
		store := keyring.FileStore(filepath.Join(dir, c.path))
		_, err := store.Load(t.Context())
		if err == nil || errors.Is(err, keyring.ErrNotFound) != c.want {
			t.Errorf("%s: Load: error %v, want ErrNotFound: %v", c.name, err, c.want)
		}
		rev, err := store.CompareAndSwap(t.Context(), 0, []byte("made"))
		if (err == nil) != c.want {
			t.Errorf("%s: CompareAndSwap: revision %d, error %v, want success: %v", c.name, rev, err, c.want)
		}
	}
}

// A service that could read the ring still can, through the same names.
func TestFileStoreKeepsModeAndLinks(t *testing.T) {
	dir := t.TempDir()
	target, name := filepath.Join(dir, "target"), filepath.Join(dir, "name")
	noError(t, os.Symlink("target", name))
	first, err := keyring.FileStore(target).CompareAndSwap(t.Context(), 0, []byte("one"))
	noError(t, err)
	mode := func() fs.FileMode {
		info, err := os.Stat(target)
		noError(t, err)
		return info.Mode()
	}
	if got := mode(); got != 0o600 {
		t.Errorf("a new file has mode %v, want %v", got, fs.FileMode(0o600))
	}
	noError(t, os.Chmod(target, 0o640))
	_, err = keyring.FileStore(name).CompareAndSwap(t.Context(), first, []byte("two"))
	noError(t, err)
	if got := mode(); got != 0o640 {
		t.Errorf("a replaced file has mode %v, want the old one's %v", got, fs.FileMode(0o640))
	}
	if got, err := os.Readlink(name); got != "target" {
		t.Errorf("the link leads to %q, %v, want %q", got, err, "target")
	}
	data, err := os.ReadFile(target)
	if string(data) != "two" || err != nil {
		t.Errorf("the target holds %q, %v, want %q", data, err, "two")
	}
	entries, err := os.ReadDir(dir)
	if len(entries) != 2 || err != nil {
		t.Errorf("left behind: %v, %v, want the file and its link only", entries, err)
	}
}

// What an interrupted writer left is named, and neither used nor removed.
func TestFileStoreInterruptedWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.jwks")
	store := keyring.FileStore(path)
	rev, err := store.CompareAndSwap(t.Context(), 0, []byte("one"))
	noError(t, err)
	noError(t, os.WriteFile(path+".new", []byte("ha"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = store.CompareAndSwap(ctx, rev, []byte("two"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), path+".new exists") {
		t.Errorf("beside a left file: error %v, want %v that names it", err, context.DeadlineExceeded)
	}
	left, _ := os.ReadFile(path + ".new")
	blob, err := store.Load(t.Context())
	if string(left) != "ha" || string(blob.Data) != "one" || err != nil {
		t.Errorf("afterwards there are %q and %q, %v, want %q and %q", left, blob.Data, err, "ha", "one")
	}
	noError(t, os.Remove(path+".new"))
	_, err = store.CompareAndSwap(t.Context(), rev, []byte("two"))
	noError(t, err)
}

func TestFileStoreTooLarge(t *testing.T) {
	store := keyring.FileStore(filepath.Join(t.TempDir(), "ring.jwks"))
	if _, err := store.CompareAndSwap(t.Context(), 0, make([]byte, keyring.MaxBytes+1)); err == nil {
		t.Error("a ring that no Load would read was written, want an error")
	}
	_, err := store.CompareAndSwap(t.Context(), 0, make([]byte, keyring.MaxBytes))
	noError(t, err)

	// A ring sealed to many members is larger than what is in it.
	sealed := func(size int) []byte { return []byte(`{"v":1,"ct":"` + strings.Repeat("A", size) + `"}`) }
	store = keyring.FileStore(filepath.Join(t.TempDir(), "sealed"))
	rev, err := store.CompareAndSwap(t.Context(), 0, sealed(900<<10))
	noError(t, err)
	if blob, err := store.Load(t.Context()); err != nil || blob.Revision != rev {
		t.Errorf("a sealed ring of 900 kB: revision %d, %v, want %d", blob.Revision, err, rev)
	}
	if _, err := store.CompareAndSwap(t.Context(), rev, sealed(keyring.MaxSealed)); err == nil {
		t.Error("a sealed ring over the limit was written, want an error")
	}
}
