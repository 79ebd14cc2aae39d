package agering

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentityFile(t *testing.T) {
	for name, kind := range map[string]func(string) (*Identity, error){"X25519": NewIdentity, "hybrid": NewHybridIdentity} {
		t.Run(name, func(t *testing.T) {
			id, err := kind("orders")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "identity")
			if err := id.Save(path); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("mode: got %04o, want 0600", got)
			}
			if err := id.Save(path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("saved over a file: got %v, want %v", err, fs.ErrExist)
			}
			back, err := LoadIdentity(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Text(), id.Text()) || back.Public().String() != id.Public().String() || back.Name() != "orders" {
				t.Errorf("got %v with other keys than were saved", back)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if line := "# public: " + id.Public().String() + "\n"; !strings.Contains(string(text), line) {
				t.Error("the file does not name the public half in a comment")
			}
		})
	}
}

func TestOpenSecretFilesAreRefused(t *testing.T) {
	id, err := NewIdentity("orders")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identity, root := filepath.Join(dir, "identity"), filepath.Join(dir, "root")
	if err := errors.Join(id.Save(identity), NewRoot().Save(root)); err != nil {
		t.Fatal(err)
	}
	for path, load := range map[string]func(string) error{
		identity: func(p string) error { _, err := LoadIdentity(p); return err },
		root:     func(p string) error { _, err := LoadRoot(p); return err },
	} {
		for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true,
			0o644: false, 0o604: false, 0o602: false, 0o777: false} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			err := load(path)
			if ok && err != nil {
				t.Errorf("%s with mode %04o: %v", filepath.Base(path), mode, err)
			}
			if !ok && (err == nil || !strings.Contains(err.Error(), "chmod 0600 "+path)) {
				t.Errorf("%s with mode %04o: got %v, want an error with the command", filepath.Base(path), mode, err)
			}
		}
		if load(dir) == nil {
			t.Error("a directory was loaded")
		}
		if err := load(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no file: got %v, want %v", err, fs.ErrNotExist)
		}
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	id, err := NewIdentity("orders")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(id.Text()), "\n")
	for name, text := range map[string]string{
		"nothing":           "",
		"comments only":     "# a\n\n# b\n",
		"a line less":       lines[0] + lines[1],
		"a line more":       string(id.Text()) + lines[1],
		"another order":     lines[1] + lines[0] + lines[2],
		"no name":           "waybill-identity:\n" + lines[1] + lines[2],
		"a bad name":        "waybill-identity:a b\n" + lines[1] + lines[2],
		"a broken age key":  lines[0] + strings.Replace(lines[1], "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q", 1) + lines[2],
		"a small age key":   lines[0] + strings.ToLower(lines[1]) + lines[2],
		"a short sign key":  lines[0] + lines[1] + lines[2][:len(lines[2])-3] + "\n",
		"a split sign key":  lines[0] + lines[1] + lines[2][:30] + "\r" + lines[2][30:],
		"an empty sign key": lines[0] + lines[1] + "waybill-sign-key:\n",
		"spaces":            " " + string(id.Text()),
		"too long":          string(id.Text()) + "#" + strings.Repeat("x", maxSecretFile),
	} {
		if got, err := ParseIdentity([]byte(text)); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
	commented := "# one\n\n" + lines[0] + "\r\n# two\n" + lines[1] + lines[2]
	if _, err := ParseIdentity([]byte(commented)); err != nil {
		t.Errorf("comments and empty lines: %v", err)
	}
}

func TestMemberLine(t *testing.T) {
	id, err := NewIdentity("orders")
	if err != nil {
		t.Fatal(err)
	}
	line := id.Public().String()
	m, err := ParseMember(line)
	if err != nil {
		t.Fatal(err)
	}
	if m.String() != line || m.MayPropose || m.MayRevoke {
		t.Errorf("got %s with roles %v %v, want %s without", m, m.MayPropose, m.MayRevoke, line)
	}
	f := strings.Split(line, ":")
	for name, bad := range map[string]string{
		"nothing":          "",
		"a line feed":      line + "\n",
		"another word":     strings.Replace(line, "member", "root", 1),
		"no recipient":     fmt.Sprintf("%s:%s::%s", f[0], f[1], f[3]),
		"a digest":         fmt.Sprintf("%s:%s:%s:%s", f[0], f[1], digestOf(f[2]), f[3]),
		"large letters":    fmt.Sprintf("%s:%s:%s:%s", f[0], f[1], strings.ToUpper(f[2]), f[3]),
		"a short key":      line[:len(line)-4],
		"an empty name":    fmt.Sprintf("%s::%s:%s", f[0], f[2], f[3]),
		"a name with a /":  fmt.Sprintf("%s:../x:%s:%s", f[0], f[2], f[3]),
		"a name too long":  fmt.Sprintf("%s:%s:%s:%s", f[0], strings.Repeat("x", 65), f[2], f[3]),
		"a secret instead": string(id.Text()),
	} {
		got, err := ParseMember(bad)
		if err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		} else if strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: the error quotes a secret", name)
		}
	}
	// What is handed out cannot change the identity.
	id.Public().Sign[0] ^= 1
	if id.Public().String() != line {
		t.Error("Public shares its key with the identity")
	}
}
