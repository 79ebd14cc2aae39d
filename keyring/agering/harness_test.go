package agering

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

const domain = "shop"

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return start }

// team is an operator and members of one domain.
type team struct {
	t      testing.TB
	root   *Root
	ids    map[string]*Identity
	roster Roster
}

// newTeam makes members by name. "ops" may propose and revoke, "orders" and "stock" may propose, "edge" only reads.
func newTeam(t testing.TB, make func(string) (*Identity, error)) *team {
	t.Helper()
	m := &team{t: t, root: NewRoot(), ids: map[string]*Identity{},
		roster: Roster{Domain: domain, Seq: 1, Epoch: 1, Expires: start.Add(30 * 24 * time.Hour)}}
	for _, name := range []string{"ops", "orders", "stock", "edge"} {
		m.add(name, make)
	}
	m.member("ops").MayRevoke = true
	m.member("edge").MayPropose = false
	return m
}

func (m *team) add(name string, make func(string) (*Identity, error)) {
	m.t.Helper()
	id, err := make(name)
	if err != nil {
		m.t.Fatal(err)
	}
	m.ids[name] = id
	member := id.Public()
	member.MayPropose = true
	m.roster.Members = append(m.roster.Members, member)
}

func (m *team) member(name string) *Member {
	for i := range m.roster.Members {
		if m.roster.Members[i].Name == name {
			return &m.roster.Members[i]
		}
	}
	m.t.Fatalf("no member %s", name)
	return nil
}

func (m *team) remove(name string) {
	for i := range m.roster.Members {
		if m.roster.Members[i].Name == name {
			m.roster.Members = append(append([]Member{}, m.roster.Members[:i]...), m.roster.Members[i+1:]...)
			return
		}
	}
}

func (m *team) signed() []byte {
	m.t.Helper()
	out, err := m.roster.Sign(m.root)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// wrapper is that of a member that knows no roster.
func (m *team) wrapper(name string, opts ...Option) *Wrapper {
	m.t.Helper()
	w, err := New(domain, m.ids[name], []PublicRoot{m.root.Public()}, append([]Option{Clock(clock)}, opts...)...)
	if err != nil {
		m.t.Fatal(err)
	}
	return w
}

// writer is a wrapper that knows the roster.
func (m *team) writer(name string, opts ...Option) *Wrapper {
	m.t.Helper()
	w := m.wrapper(name, opts...)
	if err := w.Learn(m.signed()); err != nil {
		m.t.Fatal(err)
	}
	return w
}

func newKey(t testing.TB, created time.Time) *keyring.Key {
	t.Helper()
	times := keyring.Times{Created: created, NotBefore: created, Expires: created.Add(100 * time.Hour)}
	k, err := keyring.Generate(keyring.Signed, times)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSet(t testing.TB, domain string, keys ...*keyring.Key) *keyring.Set {
	t.Helper()
	if len(keys) == 0 {
		keys = []*keyring.Key{newKey(t, start)}
	}
	set, err := keyring.NewSet(domain, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const victim = "JZ4ZnI9XOgk"

// revoking is a ring with one key, and revocations.
func revoking(t testing.TB, kids ...string) []byte {
	t.Helper()
	plain := newSet(t, domain).SecretJWKS()
	end := len(plain) - len("\n  ]\n}\n")
	out := string(plain[:end])
	for _, kid := range kids {
		out += fmt.Sprintf(`,{"kid":%q,"revoked":{"revoked_at":1795366000,"reason":"stolen"}}`, kid)
	}
	out += "]}"
	if _, err := keyring.ParseSet([]byte(out)); err != nil {
		t.Fatal(err)
	}
	return []byte(out)
}

func mustWrap(t testing.TB, w *Wrapper, plain []byte) []byte {
	t.Helper()
	out, err := w.Wrap(domain, 1, plain)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}
