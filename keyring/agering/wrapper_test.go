package agering

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func TestEveryMemberOpens(t *testing.T) {
	for name, kind := range map[string]func(string) (*Identity, error){"X25519": NewIdentity, "hybrid": NewHybridIdentity} {
		t.Run(name, func(t *testing.T) {
			m := newTeam(t, kind)
			plain := newSet(t, domain).SecretJWKS()
			sealed := mustWrap(t, m.writer("orders"), plain)
			if bytes.Contains(sealed, []byte("HS256")) {
				t.Error("the sealed ring shows what is in it")
			}
			for who := range m.ids {
				u, err := m.wrapper(who).Unwrap(domain, sealed)
				if err != nil {
					t.Fatalf("%s: %v", who, err)
				}
				if !bytes.Equal(u.Plain, plain) || u.Generation != 1 || u.Epoch != 1 || u.By != "orders" {
					t.Errorf("%s: got generation %d, epoch %d by %s, %d bytes; want 1, 1 by orders, %d bytes",
						who, u.Generation, u.Epoch, u.By, len(u.Plain), len(plain))
				}
			}
		})
	}
}

// TestRosterTravels: who opened a ring can write the next one, and who may not cannot.
func TestRosterTravels(t *testing.T) {
	m := newTeam(t, NewIdentity)
	first := mustWrap(t, m.writer("ops"), newSet(t, domain).SecretJWKS())
	stock := m.wrapper("stock")
	_, err := stock.Wrap(domain, 1, newSet(t, domain).SecretJWKS())
	if err == nil || !strings.Contains(err.Error(), "no roster") {
		t.Errorf("before the first ring: got %v, want an error on the roster", err)
	}
	if _, err := stock.Unwrap(domain, first); err != nil {
		t.Fatal(err)
	}
	second := mustWrap(t, stock, newSet(t, domain).SecretJWKS())
	edge := m.wrapper("edge")
	if u, err := edge.Unwrap(domain, second); err != nil || u.By != "stock" {
		t.Fatalf("got by %q, %v; want stock", u.By, err)
	}
	_, err = edge.Wrap(domain, 1, newSet(t, domain).SecretJWKS())
	wantErr(t, "a member that only reads", err, ErrNotProposer)
}

// alter decodes a sealed ring, changes it, and writes it anew; with a signer also its signature.
func alter(t *testing.T, sealed []byte, signer *Identity, change func(*envelope)) []byte {
	t.Helper()
	e, err := parseEnvelope(sealed)
	if err != nil {
		t.Fatal(err)
	}
	change(e)
	if signer != nil {
		e.Sig = ed25519.Sign(signer.sign, e.statement())
	}
	return e.line()
}

func TestUnwrapRefuses(t *testing.T) {
	m := newTeam(t, NewIdentity)
	other := newTeam(t, NewIdentity)
	plain := newSet(t, domain).SecretJWKS()
	good := mustWrap(t, m.writer("orders"), plain)
	resealed := func(plain []byte) func(*envelope) {
		return func(e *envelope) {
			r, err := parseRoster(e.rosterLine(), []PublicRoot{m.root.Public()})
			if err != nil {
				t.Fatal(err)
			}
			if e.Sealed, err = seal(plain, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	mallory, err := NewIdentity("mallory")
	if err != nil {
		t.Fatal(err)
	}
	mark := []byte(`"revoked":{"revoked_at":1795366000,"reason":"stolen"}`)
	refused := bytes.Replace(revoking(t, victim), mark, []byte(`"ambiguous":true`), 1)
	byOps := mustWrap(t, m.writer("ops"), revoking(t, victim))
	foreign := mustWrap(t, other.writer("orders"), plain)
	for _, test := range []struct {
		name   string
		sealed []byte
		want   error // nil: any
	}{
		{"nothing", nil, nil},
		{"an age file", []byte("age-encryption.org/v1\n-> X25519 abc\n"), nil},
		{"a plain ring", plain, nil},
		{"bytes behind it", append(bytes.Clone(good), ' '), nil},
		{"a second line", append(bytes.Clone(good), good...), nil},
		{"no line feed", bytes.TrimSpace(good), nil},
		{"another spelling", bytes.Replace(good, []byte(`"v":1`), []byte(`"v": 1`), 1), nil},
		{"a member twice", bytes.Replace(good, []byte(`"v":1,`), []byte(`"v":1,"v":1,`), 1), nil},
		{"other letters", bytes.Replace(good, []byte(`"v":1,`), []byte(`"V":1,`), 1), nil},
		{"an unknown member", bytes.Replace(good, []byte(`"v":1,`), []byte(`"v":1,"w":1,`), 1), nil},
		{"another version", alter(t, good, m.ids["orders"], func(e *envelope) { e.Version = 2 }), nil},
		{"another domain, not signed", alter(t, good, nil, func(e *envelope) { e.Domain = "club" }), keyring.ErrDomain},
		{"another domain, signed", alter(t, good, m.ids["orders"], func(e *envelope) { e.Domain = "club" }), keyring.ErrDomain},
		{"another generation, not signed", alter(t, good, nil, func(e *envelope) { e.Generation = 9 }), ErrSignature},
		{"another generation, signed", alter(t, good, m.ids["orders"], func(e *envelope) { e.Generation = 9 }), nil},
		{"another epoch, signed", alter(t, good, m.ids["orders"], func(e *envelope) { e.Epoch = 2 }), ErrOldEpoch},
		{"another proposer, not signed", alter(t, good, nil, func(e *envelope) { e.By = "stock" }), ErrSignature},
		{"a proposer nobody knows", alter(t, good, mallory, func(e *envelope) { e.By = "mallory" }), ErrNotProposer},
		{"a member that may not propose", alter(t, good, m.ids["edge"], func(e *envelope) { e.By = "edge" }), ErrNotProposer},
		{"sealed by a stranger in a member's name", alter(t, good, mallory, resealed(plain)), ErrSignature},
		{"another team's ring", foreign, ErrSignature},
		{"another team's roster", alter(t, good, m.ids["orders"], func(e *envelope) {
			e.Roster = bytes.TrimSpace(other.signed())
		}), ErrSignature},
		{"a ring of another domain inside", alter(t, good, m.ids["orders"], resealed(newSet(t, "club").SecretJWKS())),
			keyring.ErrDomain},
		{"no ring inside", alter(t, good, m.ids["orders"], resealed([]byte("{}"))), nil},
		{"a ring too large inside", alter(t, good, m.ids["orders"], resealed(make([]byte, keyring.MaxBytes+1))), nil},
		{"a refused name that nobody signed", alter(t, good, m.ids["orders"], resealed(refused)), ErrNotRevoker},
		{"a signed revocation left out", alter(t, byOps, m.ids["ops"], resealed(plain)), ErrNotRevoker},
		{"revocations that nobody signed", alter(t, good, m.ids["orders"], resealed(revoking(t, victim))), ErrNotRevoker},
		{"a revocation signed by a member that may not", alter(t, good, m.ids["orders"], func(e *envelope) {
			resealed(revoking(t, victim))(e)
			n := endorsement{Kid: victim, By: "orders"}
			n.Sig = ed25519.Sign(m.ids["orders"].sign, n.statement(domain))
			e.Revoked = []endorsement{n}
		}), ErrNotRevoker},
		{"a revocation in a revoker's name", alter(t, good, m.ids["orders"], func(e *envelope) {
			resealed(revoking(t, victim))(e)
			n := endorsement{Kid: victim, By: "ops"}
			n.Sig = ed25519.Sign(m.ids["orders"].sign, n.statement(domain))
			e.Revoked = []endorsement{n}
		}), ErrSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := m.writer("stock")
			u, err := w.Unwrap(domain, test.sealed)
			if err == nil {
				t.Fatalf("got generation %d by %s, want an error", u.Generation, u.By)
			}
			if test.want != nil {
				wantErr(t, "Unwrap", err, test.want)
			}
			if u.Plain != nil {
				t.Error("a refused ring was handed out")
			}
			if _, ok := errors.AsType[outdated](err); ok {
				t.Errorf("%v: marked as outdated, and it was never good", err)
			}
			if _, err := w.Unwrap(domain, good); err != nil {
				t.Errorf("the good ring after it: %v", err)
			}
		})
	}
	if _, err := m.wrapper("stock").Unwrap("club", good); !errors.Is(err, keyring.ErrDomain) {
		t.Errorf("asked for another domain: got %v, want %v", err, keyring.ErrDomain)
	}
}

// TestSignatureCoversAll: what others may say of the same ring cannot be put in the place of what its writer sent.
func TestSignatureCoversAll(t *testing.T) {
	m := newTeam(t, NewIdentity)
	m.member("stock").MayRevoke = true
	good := mustWrap(t, m.writer("ops"), revoking(t, victim))
	byStock, err := parseEnvelope(mustWrap(t, m.writer("stock"), revoking(t, victim)))
	if err != nil {
		t.Fatal(err)
	}
	w := m.writer("orders")
	for name, change := range map[string]func(*envelope){
		"the roster in its other form": func(e *envelope) { e.Roster = bytes.TrimSpace(encode(w.roster.text.brief())) },
		"another revoker's word":       func(e *envelope) { e.Revoked = byStock.Revoked },
		"another seal":                 func(e *envelope) { e.Sealed = byStock.Sealed },
	} {
		_, err := w.Unwrap(domain, alter(t, good, nil, change))
		wantErr(t, name, err, ErrSignature)
		if _, err := w.Unwrap(domain, alter(t, good, m.ids["ops"], change)); err != nil {
			t.Errorf("%s, signed: %v", name, err)
		}
	}
}

// TestEveryByteCounts flips one bit in each byte, and cuts the ring everywhere.
func TestEveryByteCounts(t *testing.T) {
	m := newTeam(t, NewIdentity)
	good := mustWrap(t, m.writer("ops"), revoking(t, victim))
	w := m.wrapper("stock")
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := w.Unwrap(domain, bad); err == nil {
			t.Fatalf("bit %d of byte %d flipped: it opens", i%8, i)
		}
		if _, err := w.Unwrap(domain, good[:i]); err == nil {
			t.Fatalf("cut to %d of %d bytes: it opens", i, len(good))
		}
	}
	if _, err := w.Unwrap(domain, good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestRevocation(t *testing.T) {
	m := newTeam(t, NewIdentity)
	orders := m.writer("orders")
	_, err := orders.Wrap(domain, 1, revoking(t, victim))
	wantErr(t, "by a member that may not revoke", err, ErrNotRevoker)

	byOps := mustWrap(t, m.writer("ops"), revoking(t, victim))
	if _, err := orders.Unwrap(domain, byOps); err != nil {
		t.Fatal(err)
	}
	carried := mustWrap(t, orders, revoking(t, victim))
	if _, err := m.wrapper("edge").Unwrap(domain, carried); err != nil {
		t.Errorf("carried on by a member that may not revoke: %v", err)
	}
	_, err = orders.Wrap(domain, 1, revoking(t, "AAAAAAAAAAA", victim))
	wantErr(t, "one carried on and one added", err, ErrNotRevoker)

	// The revoker leaves: a proposer can no longer carry its word on, the next revoker gives its own.
	m.remove("ops")
	m.add("ops2", NewIdentity)
	m.member("ops2").MayRevoke = true
	m.roster.Seq++
	if err := orders.Learn(m.signed()); err != nil {
		t.Fatal(err)
	}
	_, err = orders.Wrap(domain, 1, revoking(t, victim))
	wantErr(t, "the word of a revoker that left", err, ErrNotRevoker)
	again := mustWrap(t, m.writer("ops2"), revoking(t, victim))
	if _, err := orders.Unwrap(domain, again); err != nil {
		t.Fatal(err)
	}
	mustWrap(t, orders, revoking(t, victim))
}

func TestRemovedMember(t *testing.T) {
	m := newTeam(t, NewIdentity)
	plain := newSet(t, domain).SecretJWKS()
	orders, stock, edge := m.writer("orders"), m.writer("stock"), m.writer("edge")
	old := mustWrap(t, stock, plain)

	m.remove("stock")
	m.roster.Seq++
	next := mustWrap(t, m.writer("ops"), plain)
	_, err := stock.Unwrap(domain, next)
	wantErr(t, "the removed member opens the next ring", err, ErrNotMember)
	_, err = stock.Wrap(domain, 1, plain)
	wantErr(t, "the removed member writes under the new roster", err, ErrNotMember)
	for name, w := range map[string]*Wrapper{"orders": orders, "edge": edge} {
		if _, err := w.Unwrap(domain, next); err != nil {
			t.Fatalf("%s opens the next ring: %v", name, err)
		}
		_, err := w.Unwrap(domain, old)
		wantErr(t, name+" opens what the removed member wrote, with the roster of then", err, ErrNotProposer)
		if _, ok := errors.AsType[interface {
			error
			Outdated() bool
		}](err); !ok {
			t.Errorf("%v: not marked as outdated", err)
		}
	}
}

// TestOldRoster: an old ring whose writer still may write opens, and brings its old roster back nowhere.
func TestOldRoster(t *testing.T) {
	m := newTeam(t, NewIdentity)
	plain := newSet(t, domain).SecretJWKS()
	first := m.signed()
	old := mustWrap(t, m.writer("orders"), plain)
	m.remove("stock")
	m.roster.Seq++
	path := filepath.Join(t.TempDir(), "seq")
	guard, err := LoadSeqGuard(path)
	if err != nil {
		t.Fatal(err)
	}
	w := m.writer("edge", Remember(guard))
	if _, err := w.Unwrap(domain, old); err != nil {
		t.Errorf("an old ring by a member that still may write: %v", err)
	}
	if got := w.Roster().Seq; got != 2 {
		t.Errorf("the roster fell to %d, want 2", got)
	}
	wantErr(t, "Learn", w.Learn(first), ErrOldRoster)

	if guard, err = LoadSeqGuard(path); err != nil {
		t.Fatal(err)
	}
	_, err = m.wrapper("edge", Remember(guard)).Unwrap(domain, old)
	wantErr(t, "a new process that remembers", err, ErrOldRoster)
	if _, ok := errors.AsType[outdated](err); !ok {
		t.Errorf("%v: not marked as outdated", err)
	}
	if _, err := m.wrapper("edge").Unwrap(domain, old); err != nil {
		t.Errorf("a new process that remembers nothing takes the first roster, as the documentation says: %v", err)
	}
	if _, err := w.Unwrap(domain, mustWrap(t, m.writer("orders"), plain)); err != nil {
		t.Errorf("the next ring: %v", err)
	}
}

// TestNewestRosterEnds: an older roster that lasts longer is no way around the end of the newest.
func TestNewestRosterEnds(t *testing.T) {
	m := newTeam(t, NewIdentity)
	old := mustWrap(t, m.writer("orders"), newSet(t, domain).SecretJWKS())
	m.roster.Seq, m.roster.Expires = 2, start.Add(time.Hour)
	now := start
	w := m.writer("stock", Clock(func() time.Time { return now }))
	if _, err := w.Unwrap(domain, old); err != nil {
		t.Fatal(err)
	}
	now = start.Add(time.Hour)
	_, err := w.Unwrap(domain, old)
	wantErr(t, "under a newer roster that has ended", err, ErrExpired)
}

// TestFormOfRoster: a writer that sends the roster without recipients does not make others forget them.
func TestFormOfRoster(t *testing.T) {
	m := newTeam(t, NewIdentity)
	w := m.writer("stock")
	plain := newSet(t, domain).SecretJWKS()
	brief := alter(t, mustWrap(t, m.writer("orders"), plain), m.ids["orders"], func(e *envelope) {
		e.Roster = bytes.TrimSpace(encode(w.roster.text.brief()))
	})
	if _, err := w.Unwrap(domain, brief); err != nil {
		t.Fatal(err)
	}
	mustWrap(t, w, plain)
}

func TestExpiredRoster(t *testing.T) {
	m := newTeam(t, NewIdentity)
	plain := newSet(t, domain).SecretJWKS()
	sealed := mustWrap(t, m.writer("orders"), plain)
	now := m.roster.Expires.Add(-time.Second)
	at := Clock(func() time.Time { return now })
	known, fresh := m.wrapper("stock", at), m.wrapper("stock", at)
	if _, err := known.Unwrap(domain, sealed); err != nil {
		t.Fatalf("a second before the end: %v", err)
	}
	now = m.roster.Expires
	_, err := known.Unwrap(domain, sealed)
	wantErr(t, "Unwrap at the end, roster known", err, ErrExpired)
	_, err = fresh.Unwrap(domain, sealed)
	wantErr(t, "Unwrap at the end, roster not known", err, ErrExpired)
	_, err = known.Wrap(domain, 1, plain)
	wantErr(t, "Wrap at the end", err, ErrExpired)
	wantErr(t, "Learn at the end", known.Learn(m.signed()), ErrExpired)

	m.roster.Seq++
	m.roster.Expires = m.roster.Expires.Add(time.Hour)
	if err := known.Learn(m.signed()); err != nil {
		t.Fatal(err)
	}
	if _, err := known.Unwrap(domain, sealed); err != nil {
		t.Errorf("the ring of before under the next roster: %v", err)
	}
}

// TestBurn: raising the epoch ends every key made before, also one that only a single node ever saw.
func TestBurn(t *testing.T) {
	m := newTeam(t, NewIdentity)
	k1 := newKey(t, start.Add(-time.Hour))
	orders, stock := m.writer("orders"), m.writer("stock")
	// What stock knows is what its ring holds: what it opened, and a key that it sealed, whose write then failed, and whose
	// time is after that of the burn because its clock is ahead.
	open := func(sealed []byte) *keyring.Set {
		t.Helper()
		u, err := stock.Unwrap(domain, sealed)
		if err != nil {
			t.Fatal(err)
		}
		set, err := keyring.ParseSet(u.Plain)
		if err != nil {
			t.Fatal(err)
		}
		return set.WithEpoch(u.Epoch)
	}
	before := mustWrap(t, orders, newSet(t, domain, k1).SecretJWKS())
	held := open(before)
	secret := newKey(t, start.Add(3*time.Second))
	held, err := held.Union(newSet(t, domain, k1, secret).WithEpoch(1))
	if err != nil {
		t.Fatal(err)
	}
	mustWrap(t, stock, held.SecretJWKS())

	m.roster.Seq, m.roster.Epoch, m.roster.EpochStart = 2, 2, start
	fresh := newKey(t, start)
	ops := m.writer("ops")
	for name, set := range map[string]*keyring.Set{
		"a ring of the first epoch":               newSet(t, domain, fresh).WithEpoch(1),
		"a ring that states no epoch":             newSet(t, domain, fresh),
		"a ring of an epoch to come":              newSet(t, domain, fresh).WithEpoch(3),
		"a ring with a key from before the burn":  newSet(t, domain, k1, fresh).WithEpoch(2),
		"what a node held that has not heard yet": held,
	} {
		_, err := ops.Wrap(domain, 1, set.SecretJWKS())
		wantErr(t, "the burner seals "+name, err, ErrOldEpoch)
		after := mustWrap(t, ops, newSet(t, domain, fresh).WithEpoch(2).SecretJWKS())
		forged := alter(t, after, m.ids["orders"], func(e *envelope) {
			e.By = "orders"
			if e.Sealed, err = seal(set.SecretJWKS(), ops.roster); err != nil {
				t.Fatal(err)
			}
		})
		_, err = orders.Unwrap(domain, forged)
		wantErr(t, "a member writes "+name, err, ErrOldEpoch)
	}

	held, err = held.Union(open(mustWrap(t, ops, newSet(t, domain, fresh).WithEpoch(2).SecretJWKS())))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*keyring.Key{"the key known to all": k1, "the key known to one": secret} {
		if held.Lookup([]byte(k.ID())) != nil {
			t.Errorf("%s survived the burn", name)
		}
	}
	if held.Lookup([]byte(fresh.ID())) == nil {
		t.Error("the new key is not there")
	}
	_, err = stock.Unwrap(domain, before)
	wantErr(t, "the ring of before", err, ErrOldEpoch)
	_, err = m.writer("stock").Unwrap(domain, before)
	wantErr(t, "the ring of before, after a restart", err, ErrOldEpoch)
	mustWrap(t, stock, held.SecretJWKS())
}

func TestWrapRefuses(t *testing.T) {
	m := newTeam(t, NewIdentity)
	w := m.writer("orders")
	plain := newSet(t, domain).SecretJWKS()
	for name, call := range map[string]func() error{
		"another domain": func() error { _, err := w.Wrap("club", 1, newSet(t, "club").SecretJWKS()); return err },
		"a ring of another domain": func() error {
			_, err := w.Wrap(domain, 1, newSet(t, "club").SecretJWKS())
			return err
		},
		"another generation": func() error { _, err := w.Wrap(domain, 2, plain); return err },
		"not a ring":         func() error { _, err := w.Wrap(domain, 1, []byte("{}")); return err },
	} {
		if call() == nil {
			t.Errorf("%s: sealed, want an error", name)
		}
	}
	// The name of a member with other keys.
	impostor, err := NewIdentity("orders")
	if err != nil {
		t.Fatal(err)
	}
	m.ids["orders"] = impostor
	_, err = m.writer("orders").Wrap(domain, 1, plain)
	wantErr(t, "a member's name with other keys", err, ErrNotMember)
}

// TestLargeRoster: a roster over 64 kB travels without recipients. Everybody opens; who writes needs the whole of it.
func TestLargeRoster(t *testing.T) {
	m := newTeam(t, NewHybridIdentity)
	for i := range 40 {
		m.add("s"+strings.Repeat("x", i), NewHybridIdentity)
	}
	plain := newSet(t, domain).SecretJWKS()
	sealed := mustWrap(t, m.writer("ops"), plain)
	e, err := parseEnvelope(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Roster) > maxEmbedded {
		t.Errorf("the roster inside has %d bytes, want at most %d", len(e.Roster), maxEmbedded)
	}
	w := m.wrapper("orders")
	if _, err := w.Unwrap(domain, sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wrap(domain, 1, plain); err == nil || !strings.Contains(err.Error(), "Learn") {
		t.Errorf("without recipients: got %v, want an error that names Learn", err)
	}
	if err := w.Learn(m.signed()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unwrap(domain, sealed); err != nil {
		t.Fatal(err)
	}
	mustWrap(t, w, plain)
}

// TestAgeReads: with the identity alone, and nothing of this package but base64 and JSON, the ring can be had back.
func TestAgeReads(t *testing.T) {
	m := newTeam(t, NewIdentity)
	plain := newSet(t, domain).SecretJWKS()
	var outer struct {
		CT []byte `json:"ct"`
	}
	if err := json.Unmarshal(mustWrap(t, m.writer("orders"), plain), &outer); err != nil {
		t.Fatal(err)
	}
	got, err := m.wrapper("edge").open(outer.CT)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %d bytes, %v; want the JWK Set", len(got), err)
	}
}
