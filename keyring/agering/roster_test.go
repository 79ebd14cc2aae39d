package agering

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRoster(t *testing.T) {
	m := newTeam(t, NewIdentity)
	m.roster.Seq, m.roster.Epoch, m.roster.EpochStart = 7, 2, start.Add(-time.Hour)
	signed := m.signed()
	second := NewRoot().Public()
	r, err := VerifyRoster(signed, second, m.root.Public())
	if err != nil {
		t.Fatal(err)
	}
	if r.Domain != domain || r.Seq != 7 || r.Epoch != 2 ||
		!r.EpochStart.Equal(m.roster.EpochStart) || !r.Expires.Equal(m.roster.Expires) {
		t.Errorf("got %+v, want %+v", r, m.roster)
	}
	byName := func(a, b Member) int { return strings.Compare(a.Name, b.Name) }
	if len(r.Members) != 4 || !slices.IsSortedFunc(r.Members, byName) {
		t.Errorf("got %d members, want 4 in the order of their names", len(r.Members))
	}
	for _, want := range m.roster.Members {
		got := r.Member(want.Name)
		if got == nil || got.String() != want.String() || got.MayPropose != want.MayPropose || got.MayRevoke != want.MayRevoke {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if r.Member("nobody") != nil {
		t.Error("found a member that is none")
	}
	if again, err := r.Sign(m.root); err != nil || !bytes.Equal(again, signed) {
		t.Errorf("signed again: got other bytes, %v", err)
	}
	_, err = VerifyRoster(signed, second)
	wantErr(t, "by a root that is not configured", err, ErrSignature)
	for i := range signed {
		bad := bytes.Clone(signed)
		bad[i] ^= 1 << (i % 8)
		if _, err := VerifyRoster(bad, m.root.Public()); err == nil {
			t.Fatalf("bit %d of byte %d flipped: it opens", i%8, i)
		}
	}
	if err := r.Valid(r.Expires.Add(-time.Nanosecond)); err != nil {
		t.Errorf("before its end: %v", err)
	}
	wantErr(t, "at its end", r.Valid(r.Expires), ErrExpired)
}

// TestBriefRoster: both forms of a roster have one signature, and a mixture is none.
func TestBriefRoster(t *testing.T) {
	m := newTeam(t, NewHybridIdentity)
	roots := []PublicRoot{m.root.Public()}
	full, err := parseRoster(m.signed(), roots)
	if err != nil {
		t.Fatal(err)
	}
	brief, err := parseRoster(encode(full.text.brief()), roots)
	if err != nil {
		t.Fatal(err)
	}
	if !full.full || brief.full || full.digest != brief.digest {
		t.Errorf("full %v and %v, same digest %v; want true, false, true", full.full, brief.full, full.digest == brief.digest)
	}
	mixed := full.text
	mixed.Members = slices.Clone(mixed.Members)
	mixed.Members[1].Recipient = digestOf(mixed.Members[1].Recipient)
	if _, err := parseRoster(encode(mixed), roots); err == nil {
		t.Error("a mixture of recipients and digests opens")
	}
	swapped := full.text
	swapped.Members = slices.Clone(swapped.Members)
	other, err := NewHybridIdentity("other")
	if err != nil {
		t.Fatal(err)
	}
	swapped.Members[1].Recipient = other.Public().Recipient
	_, err = parseRoster(encode(swapped), roots)
	wantErr(t, "another recipient", err, ErrSignature)
}

func TestSignRosterRefuses(t *testing.T) {
	hybrid, err := NewHybridIdentity("hybrid")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*team){
		"no domain":                    func(m *team) { m.roster.Domain = "" },
		"a bad domain":                 func(m *team) { m.roster.Domain = "a b" },
		"no seq":                       func(m *team) { m.roster.Seq = 0 },
		"no epoch":                     func(m *team) { m.roster.Epoch = 0 },
		"a second epoch without start": func(m *team) { m.roster.Epoch = 2 },
		"no end":                       func(m *team) { m.roster.Expires = time.Time{} },
		"an end before the start":      func(m *team) { m.roster.EpochStart = m.roster.Expires.Add(time.Hour) },
		"no members":                   func(m *team) { m.roster.Members = nil },
		"nobody proposes": func(m *team) {
			for i := range m.roster.Members {
				m.roster.Members[i].MayPropose = false
			}
		},
		"a name twice":      func(m *team) { m.member("stock").Name = "orders" },
		"a bad name":        func(m *team) { m.member("stock").Name = "a:b" },
		"a recipient twice": func(m *team) { m.member("stock").Recipient = m.member("orders").Recipient },
		"a sign key twice":  func(m *team) { m.member("stock").Sign = m.member("orders").Sign },
		"no sign key":       func(m *team) { m.member("stock").Sign = nil },
		"a short sign key":  func(m *team) { m.member("stock").Sign = make(ed25519.PublicKey, 31) },
		"no recipient":      func(m *team) { m.member("stock").Recipient = "" },
		"a digest":          func(m *team) { m.member("stock").Recipient = digestOf(m.member("stock").Recipient) },
		"mixed kinds":       func(m *team) { m.roster.Members = append(m.roster.Members, hybrid.Public()) },
		"too many": func(m *team) {
			for i := range MaxMembers - 3 {
				m.add(fmt.Sprint("s", i), NewIdentity)
			}
		},
	} {
		m := newTeam(t, NewIdentity)
		change(m)
		if _, err := m.roster.Sign(m.root); err == nil {
			t.Errorf("%s: signed, want an error", name)
		}
	}
}
