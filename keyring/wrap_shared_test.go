package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func wrapSet(t testing.TB, domain string) []byte {
	t.Helper()
	at := time.Unix(1795366000, 0)
	k, err := Generate(Signed, Times{at, at, at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(domain, k)
	if err != nil {
		t.Fatal(err)
	}
	return set.SecretJWKS()
}

func sharedWrapper(t testing.TB, key []byte) Wrapper {
	t.Helper()
	w, err := SharedKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSharedKey(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	w := sharedWrapper(t, key)
	plain := wrapSet(t, "shop")
	sealed, err := w.Wrap("shop", 1, plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("HS256")) {
		t.Error("the sealed ring shows what is in it")
	}
	again, err := w.Wrap("shop", 1, plain)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealed twice: got the same bytes, %v", err)
	}
	u, err := sharedWrapper(t, key).Unwrap("shop", sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(u.Plain, plain) || u.Generation != 1 || u.By != "" {
		t.Errorf("got generation %d by %q, %d bytes; want 1 by nobody, %d bytes", u.Generation, u.By, len(u.Plain), len(plain))
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << (i % 8)
		if _, err := w.Unwrap("shop", bad); err == nil {
			t.Fatalf("bit %d of byte %d flipped: it opens", i%8, i)
		}
		if _, err := w.Unwrap("shop", sealed[:i]); err == nil {
			t.Fatalf("cut to %d of %d bytes: it opens", i, len(sealed))
		}
	}
	for name, bad := range map[string][]byte{
		"nothing":             nil,
		"bytes behind it":     append(bytes.Clone(sealed), ' '),
		"another spelling":    bytes.Replace(sealed, []byte(`"gen":1`), []byte(`"gen": 1`), 1),
		"a member twice":      bytes.Replace(sealed, []byte(`"gen":1`), []byte(`"gen":1,"gen":1`), 1),
		"an unknown member":   bytes.Replace(sealed, []byte(`"gen":1`), []byte(`"gen":1,"x":1`), 1),
		"another generation":  bytes.Replace(sealed, []byte(`"gen":1`), []byte(`"gen":2`), 1),
		"another domain":      bytes.Replace(sealed, []byte(`"shop"`), []byte(`"club"`), 1),
		"a ring in the plain": plain,
		"too long":            make([]byte, maxSharedBytes+1),
	} {
		if _, err := w.Unwrap("shop", bad); err == nil {
			t.Errorf("%s: it opens", name)
		}
	}
	if _, err := w.Unwrap("club", sealed); !errors.Is(err, ErrDomain) {
		t.Errorf("asked for another domain: got %v, want %v", err, ErrDomain)
	}
	if _, err := w.Unwrap("club", bytes.Replace(sealed, []byte(`"shop"`), []byte(`"club"`), 1)); err == nil {
		t.Error("renamed to the domain that is asked for: it opens")
	}
	if _, err := sharedWrapper(t, bytes.Repeat([]byte("x"), 32)).Unwrap("shop", sealed); err == nil {
		t.Error("another key: it opens")
	}
}

func TestSharedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.key")
	key := []byte("0123456789abcdef0123456789abcdef")
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Shared(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.Wrap("shop", 1, wrapSet(t, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sharedWrapper(t, key).Unwrap("shop", sealed); err != nil {
		t.Errorf("the key of the file: %v", err)
	}
	for mode, ok := range map[os.FileMode]bool{0o400: true, 0o440: true, 0o604: false, 0o602: false, 0o644: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Shared(path)
		if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "chmod 0600 "+path) {
			t.Errorf("mode %04o: got %v, want accepted %v or an error with the command", mode, err, ok)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 16, 31, 33, 64} {
		if err := os.WriteFile(path, bytes.Repeat([]byte("s"), n), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Shared(path); err == nil || strings.Contains(err.Error(), "ssss") {
			t.Errorf("%d bytes: got %v, want an error without them", n, err)
		}
	}
	if _, err := Shared(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := Shared(filepath.Dir(path)); err == nil {
		t.Error("a directory was read as a key")
	}
}

func TestSharedKeyIsNotPrinted(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	w := sharedWrapper(t, []byte(secret))
	var said bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&said, verb+verb, w, []any{w})
	}
	slog.New(slog.NewTextHandler(&said, nil)).Info("x", "w", w, "in", struct{ W Wrapper }{w})
	slog.New(slog.NewJSONHandler(&said, nil)).Info("x", "w", w, "in", struct{ W Wrapper }{w})
	if out, err := json.Marshal(w); err == nil {
		said.Write(out)
	}
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret)), "0x30, 0x31, 0x32"} {
		if strings.Contains(said.String(), form) {
			t.Errorf("the key was printed as %q", form)
		}
	}
	if !strings.Contains(said.String(), "shared key") {
		t.Error("the search looks at the wrong text")
	}
}

// TestWrapChecksTheRing: a wrapper carries no ring under the name of another, and only rings.
func TestWrapChecksTheRing(t *testing.T) {
	for name, w := range map[string]Wrapper{"shared": sharedWrapper(t, make([]byte, 32)), "plaintext": InsecurePlaintext()} {
		plain := wrapSet(t, "shop")
		if _, err := w.Wrap("club", 1, plain); !errors.Is(err, ErrDomain) {
			t.Errorf("%s, another domain: got %v, want %v", name, err, ErrDomain)
		}
		if _, err := w.Wrap("shop", 2, plain); err == nil {
			t.Errorf("%s, another generation: no error", name)
		}
		if _, err := w.Wrap("shop", 1, []byte("{}")); err == nil {
			t.Errorf("%s, not a ring: no error", name)
		}
	}
}

func TestInsecurePlaintext(t *testing.T) {
	plain := wrapSet(t, "shop")
	w := InsecurePlaintext()
	sealed, err := w.Wrap("shop", 1, plain)
	if err != nil || !bytes.Equal(sealed, plain) {
		t.Fatalf("got %d bytes, %v; want the ring as it is", len(sealed), err)
	}
	u, err := w.Unwrap("shop", sealed)
	if err != nil || !bytes.Equal(u.Plain, plain) || u.Generation != 1 || u.By != "" {
		t.Errorf("got generation %d by %q, %v; want 1 by nobody", u.Generation, u.By, err)
	}
	if _, err := w.Unwrap("club", sealed); !errors.Is(err, ErrDomain) {
		t.Errorf("another domain: got %v, want %v", err, ErrDomain)
	}
	if _, err := w.Unwrap("shop", []byte("{}")); err == nil {
		t.Error("not a ring: no error")
	}
}

func FuzzSharedRing(f *testing.F) {
	w := sharedWrapper(f, make([]byte, 32))
	sealed, err := w.Wrap("shop", 1, wrapSet(f, "shop"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseSharedRing(line)
		if err != nil {
			return
		}
		if again, err := r.line(); err != nil || !bytes.Equal(again, line) {
			t.Errorf("%q is read as %q", line, again)
		}
	})
}
