package agering

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// guarded is a roster as a guard sees it.
func guarded(domain string, seq, epoch uint64, start int64, digest byte) *signedRoster {
	s := &signedRoster{text: rosterText{EpochStart: start}}
	s.Domain, s.Seq, s.Epoch, s.digest[0] = domain, seq, epoch, digest
	return s
}

func TestSeqGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seq")
	other := errors.New("any error")
	for i, step := range []struct {
		name string
		r    *signedRoster
		want error
	}{
		{"the first", guarded("shop", 5, 2, 100, 1), nil},
		{"the same", guarded("shop", 5, 2, 100, 1), nil},
		{"another with this number", guarded("shop", 5, 2, 100, 2), other},
		{"an older one", guarded("shop", 4, 2, 100, 3), ErrOldRoster},
		{"an older one of a later epoch", guarded("shop", 4, 3, 200, 3), ErrOldRoster},
		{"another domain", guarded("club", 6, 2, 100, 4), keyring.ErrDomain},
		{"a lower epoch", guarded("shop", 6, 1, 100, 4), ErrOldEpoch},
		{"another start of the epoch", guarded("shop", 6, 2, 101, 4), ErrOldEpoch},
		{"a later epoch that began earlier", guarded("shop", 6, 3, 99, 4), ErrOldEpoch},
		{"the next", guarded("shop", 6, 2, 100, 4), nil},
		{"a gap and a burn", guarded("shop", 9, 3, 200, 5), nil},
		{"the one before", guarded("shop", 6, 2, 100, 4), ErrOldRoster},
	} {
		// Each step in a new process: what counts is in the file.
		g, err := LoadSeqGuard(path)
		if err != nil {
			t.Fatal(err)
		}
		switch got := g.accept(step.r); {
		case step.want == nil && got != nil, step.want != nil && got == nil:
			t.Errorf("step %d, %s: got %v, want %v", i, step.name, got, step.want)
		case step.want != nil && step.want != other:
			wantErr(t, step.name, got, step.want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file: got %v, %v; want mode 0600", info, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("got %d files, %v; want the state alone", len(entries), err)
	}
}

func TestSeqGuardFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seq")
	for _, text := range []string{"", "{}", "7", `{"domain":"shop","seq":7,"epoch":1,"epoch_start":0,"sha256":""}` + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSeqGuard(path); err == nil {
			t.Errorf("a file with %q was taken for none", text)
		}
	}
	// What cannot be remembered is not accepted, and the roster of before stays.
	gone := filepath.Join(dir, "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	m := newTeam(t, NewIdentity)
	g, err := LoadSeqGuard(filepath.Join(gone, "seq"))
	if err != nil {
		t.Fatal(err)
	}
	w := m.writer("orders", Remember(g))
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	m.roster.Seq, m.roster.Expires = 2, m.roster.Expires.Add(time.Hour)
	if err := w.Learn(m.signed()); err == nil || w.Roster().Seq != 1 {
		t.Errorf("got %v and roster %d, want an error and roster 1", err, w.Roster().Seq)
	}
}
