package keyring_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// putFile puts a whole file under a name.
func putFile(t testing.TB, path, data string) {
	t.Helper()
	noError(t, os.WriteFile(path+".tmp", []byte(data), 0o600))
	noError(t, os.Rename(path+".tmp", path))
}

// putLink puts a symbolic link under a name, in place of another.
func putLink(t testing.TB, target, path string) {
	t.Helper()
	noError(t, os.Symlink(target, path+".tmp"))
	noError(t, os.Rename(path+".tmp", path))
}

func TestFileNudges(t *testing.T) {
	const soon = 1100 * time.Millisecond
	mounted := func(t *testing.T, dir string) string { // as Kubernetes mounts a Secret
		noError(t, os.Mkdir(filepath.Join(dir, "..1"), 0o700))
		putFile(t, filepath.Join(dir, "..1", "ring.jwks"), "one")
		putLink(t, "..1", filepath.Join(dir, "..data"))
		putLink(t, "..data/ring.jwks", filepath.Join(dir, "ring.jwks"))
		return filepath.Join(dir, "ring.jwks")
	}
	plain := func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "ring.jwks")
		putFile(t, path, "one")
		return path
	}
	cases := []struct {
		name   string
		make   func(t *testing.T, dir string) string
		change func(t *testing.T, path string, n int)
		fires  bool
	}{
		{"nothing", plain, func(*testing.T, string, int) {}, false},
		{"read", plain, func(t *testing.T, path string, _ int) {
			_, err := os.ReadFile(path)
			noError(t, err)
		}, false},
		{"another file beside it", plain, func(t *testing.T, path string, n int) { putFile(t, path+".new", fmt.Sprint(n)) }, false},
		{"replaced", plain, func(t *testing.T, path string, n int) { putFile(t, path, fmt.Sprint("file ", n)) }, true},
		{"written in place", plain, func(t *testing.T, path string, n int) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			noError(t, err)
			_, err = f.WriteString("more")
			noError(t, err)
			noError(t, f.Close())
		}, true},
		{"gone, and back", plain, func(t *testing.T, path string, n int) {
			if n%2 == 0 {
				noError(t, os.Remove(path))
			} else {
				putFile(t, path, "back")
			}
		}, true},
		{"not there at first", func(_ *testing.T, dir string) string { return filepath.Join(dir, "late.jwks") },
			func(t *testing.T, path string, n int) { putFile(t, path, fmt.Sprint("file ", n)) }, true},
		{"Kubernetes Secret", mounted, func(t *testing.T, path string, n int) {
			dir := filepath.Dir(path)
			next := fmt.Sprintf("..%d", n+2)
			noError(t, os.Mkdir(filepath.Join(dir, next), 0o700))
			putFile(t, filepath.Join(dir, next, "ring.jwks"), "one") // of one size, and soon after the last one
			putLink(t, next, filepath.Join(dir, "..data"))
			noError(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", n+1))))
		}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				path := c.make(t, dir)
				ctx, cancel := context.WithCancel(t.Context())
				nudges := keyring.File(path).Nudges(ctx)
				for n := range 10 {
					c.change(t, path, n)
					time.Sleep(soon)
					select {
					case <-nudges:
						if !c.fires {
							t.Errorf("change %d: a nudge, want none", n+1)
						}
					default:
						if c.fires {
							t.Errorf("change %d: no nudge within %v, want one", n+1, soon)
						}
					}
				}
				cancel()
				synctest.Wait()
				if _, open := <-nudges; open {
					t.Error("the channel is open after its context ended, want it closed")
				}
			})
		})
	}
}

// A reader that is busy finds one nudge, whatever happened.
func TestFileNudgesDoNotPile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.jwks")
	synctest.Test(t, func(t *testing.T) {
		nudges := keyring.File(path).Nudges(t.Context())
		for n := range 5 {
			putFile(t, path, fmt.Sprint("file ", n))
			time.Sleep(2 * time.Second)
		}
		if got := len(nudges); got != 1 {
			t.Errorf("%d nudges wait, want 1", got)
		}
	})
}
