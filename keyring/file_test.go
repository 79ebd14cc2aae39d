//go:build unix

package keyring_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// write puts a file in place the way writers of rings do: by renaming a complete one over it.
func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(next, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestFileModes(t *testing.T) {
	secretRing := generation(1, macJWK("a"), signJWK())
	pairOnly := generation(1, signJWK())
	publicRing := must(keyring.ParseSet(pairOnly))(t).PublicJWKS()
	path := filepath.Join(t.TempDir(), "ring.jwks")
	for _, test := range []struct {
		name string
		data []byte
		mode os.FileMode
		ok   bool
	}{
		{"owner", secretRing, 0o600, true},
		{"owner, read only", secretRing, 0o400, true},
		{"group reads", secretRing, 0o640, true},
		{"group reads, as Kubernetes mounts it", secretRing, 0o440, true},
		{"group writes", secretRing, 0o660, true},
		{"all read", secretRing, 0o644, false},
		{"others read", secretRing, 0o604, false},
		{"all may do all", secretRing, 0o777, false},
		{"others write", secretRing, 0o602, false},
		{"others run", secretRing, 0o601, false},
		{"a private key, all read", pairOnly, 0o644, false},
		{"public halves, all read", publicRing, 0o644, true},
		{"public halves, all write", publicRing, 0o666, false},
		{"public halves, others write", publicRing, 0o602, false},
		{"no ring, and a sealed one's members, all read", []byte(`{"v":1,"ct":"AAAA","keys":[]}`), 0o644, false},
		{"no ring, all read", []byte(secret("a")), 0o644, false},
		{"a secret under another spelling", bytes.Replace(secretRing, []byte(`"k":`), []byte(`"K":`), 1), 0o644, false},
	} {
		write(t, path, test.data, test.mode)
		ring, err := keyring.LoadFile(t.Context(), path)
		if (err == nil) != test.ok {
			t.Errorf("%s: got %v, want ok %v", test.name, err, test.ok)
		}
		if err == nil {
			ring.Close()
			continue
		}
		want := "chmod 0600 " + path
		if strings.HasPrefix(test.name, "public halves") || strings.HasPrefix(test.name, "sealed") {
			want = "chmod o-w " + path
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want the command %q", test.name, err, want)
		}
		wantNoSecret(t, test.name, err.Error(), []string{secret("a")[:10], "nWGxne_9Wm"})
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := keyring.LoadFile(t.Context(), filepath.Join(dir, "none")); !os.IsNotExist(unwrap(err)) {
		t.Errorf("no file: got %v, want that it does not exist", err)
	}
	if _, err := keyring.LoadFile(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: got %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := keyring.LoadFile(t.Context(), pipe)
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a pipe: got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a pipe: LoadFile waits for somebody to write into it")
		unblock, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			unblock.Close()
		}
	}
	large := filepath.Join(dir, "large")
	write(t, large, bytes.Repeat([]byte(" "), keyring.MaxBytes+1), 0o600)
	if _, err := keyring.LoadFile(t.Context(), large); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("too large: got %v", err)
	}
	most := filepath.Join(dir, "most")
	data := generation(1, macJWK("a"))
	write(t, most, append(data, bytes.Repeat([]byte(" "), keyring.MaxBytes-len(data))...), 0o600)
	if ring, err := keyring.LoadFile(t.Context(), most); err != nil {
		t.Errorf("as large as allowed: got %v", err)
	} else {
		ring.Close()
	}
}

func unwrap(err error) error {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = next.Unwrap()
	}
}

// follow opens a ring that is read every few milliseconds and returns what waits for a state of it.
func follow(t *testing.T, path string) (*keyring.Ring, func(what string, ok func(*keyring.Ring) bool)) {
	t.Helper()
	ring := must(keyring.LoadFile(t.Context(), path, keyring.Poll(3*time.Millisecond), logTo(new(journal))))(t)
	t.Cleanup(func() { ring.Close() })
	return ring, func(what string, ok func(*keyring.Ring) bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(ring); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %v and %+v after 10 s", what, ring.Set(), ring.Stats())
			}
		}
	}
}

func hasGeneration(n uint64) func(*keyring.Ring) bool {
	return func(r *keyring.Ring) bool { return r.Set().Generation() == n }
}

// moreFailures waits until the source was read a few times, and not well.
func moreFailures(r *keyring.Ring) func(*keyring.Ring) bool {
	from := r.Stats().Failures
	return func(r *keyring.Ring) bool { return r.Stats().Failures >= from+3 }
}

// TestFileIsFollowed takes a file through what happens to files.
func TestFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.jwks")
	write(t, path, generation(1, macJWK("a")), 0o600)
	ring, wait := follow(t, path)

	write(t, path, generation(2, macJWK("a"), macJWK("b")), 0o600)
	wait("renamed over", hasGeneration(2))

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wait("vanished", moreFailures(ring))
	if got := ring.Set().Generation(); got != 2 {
		t.Errorf("vanished: got generation %d, want the last good one", got)
	}
	write(t, path, generation(3, macJWK("c")), 0o600)
	wait("back", hasGeneration(3))

	write(t, path, generation(4, macJWK("d")), 0o644)
	wait("open to all", moreFailures(ring))
	if got := ring.Set().Generation(); got != 3 {
		t.Errorf("open to all: got generation %d, want the last good one", got)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	wait("closed again", hasGeneration(4))

	write(t, path, []byte("{"), 0o600)
	wait("cut", moreFailures(ring))
	write(t, path, generation(5, macJWK("e")), 0o600)
	wait("whole again", hasGeneration(5))
}

// TestSymlinkSwap changes a mounted secret as Kubernetes does: the name is a link to a link to a directory, and the middle
// one is swapped.
func TestSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	version := func(n int) {
		t.Helper()
		name := filepath.Join(dir, fmt.Sprint("..version", n))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(name, "ring.jwks"), generation(n, macJWK(name)), 0o440)
		link := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(filepath.Base(name), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version(1)
	path := filepath.Join(dir, "ring.jwks")
	if err := os.Symlink(filepath.Join("..data", "ring.jwks"), path); err != nil {
		t.Fatal(err)
	}
	_, wait := follow(t, path)
	for n := 2; n < 12; n++ { // ten swaps: notifications on the file would end after the first
		version(n)
		wait("swapped", hasGeneration(uint64(n)))
	}
}
