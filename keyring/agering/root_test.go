package agering

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestRootFile(t *testing.T) {
	root := NewRoot()
	path := filepath.Join(t.TempDir(), "root")
	if err := root.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := root.Save(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("saved over a file: got %v, want %v", err, fs.ErrExist)
	}
	back, err := LoadRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Text(), root.Text()) || back.Public() != root.Public() {
		t.Error("the loaded root is another one")
	}
	text := string(root.Text())
	for _, bad := range []string{"", "waybill-root-key:\n", root.Public().String(), text + text, text[:30]} {
		if _, err := ParseRoot([]byte(bad)); err == nil {
			t.Errorf("%d bytes parsed as a root", len(bad))
		}
	}
}

func TestParseRoots(t *testing.T) {
	var lines []string
	for range 4 {
		lines = append(lines, NewRoot().Public().String())
	}
	got, err := ParseRoots(lines[:3]...)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %d roots, %v; want 3", len(got), err)
	}
	for i, r := range got {
		if r.String() != lines[i] {
			t.Errorf("got %s, want %s", r, lines[i])
		}
	}
	for name, bad := range map[string][]string{
		"none":             nil,
		"four":             lines,
		"one twice":        {lines[0], lines[0]},
		"an empty line":    {""},
		"a line feed":      {lines[0] + "\n"},
		"a short key":      {lines[0][:40]},
		"all zero":         {PublicRoot{}.String()},
		"a secret":         {string(NewRoot().Text())},
		"another spelling": {lines[0] + "="},
	} {
		if _, err := ParseRoots(bad...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	id, err := NewIdentity("orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(domain, id, nil); err == nil {
		t.Error("New without a root: no error")
	}
	if _, err := New(domain, nil, got); err == nil {
		t.Error("New without an identity: no error")
	}
	if _, err := New("a b", id, got); err == nil {
		t.Error("New with a bad domain: no error")
	}
}
