package agering

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// keep opens a ring over the store that takes part in the rotation and looks every few milliseconds.
func keep(t *testing.T, store keyring.Store, w *Wrapper) *keyring.Ring {
	t.Helper()
	p := keyring.DefaultPolicy()
	p.Poll, p.Settle = 10*time.Millisecond, 50*time.Millisecond
	ring, err := keyring.Maintain(t.Context(), store, w, keyring.Domain(domain), keyring.WithPolicy(p), keyring.Clock(clock),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	return ring
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// put replaces what the store has, whatever that is.
func put(t *testing.T, store keyring.Store, data []byte) {
	t.Helper()
	eventually(t, "the store to take a ring", func() bool {
		blob, _ := store.Load(t.Context())
		_, err := store.CompareAndSwap(t.Context(), blob.Revision, data)
		return err == nil
	})
}

// TestStoreSetBack: a store that goes back past a change of members or a burn is put right by the nodes. They hold what
// came after it, and tell it from what they have no right to replace.
func TestStoreSetBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		writer string
		change func(*team) *keyring.Set
	}{
		{"a member left, and another wrote the old ring", "ops", func(m *team) *keyring.Set {
			m.remove("stock")
			return nil
		}},
		{"the member that wrote the old ring left", "stock", func(m *team) *keyring.Set {
			m.remove("stock")
			return nil
		}},
		{"all keys were burnt", "ops", func(m *team) *keyring.Set {
			m.roster.Epoch, m.roster.EpochStart = 2, start
			return newSet(t, domain).WithEpoch(2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newTeam(t, NewIdentity)
			store := keyring.FileStore(filepath.Join(t.TempDir(), "ring"))
			set := newSet(t, domain)
			old := mustWrap(t, m.writer(c.writer), set.SecretJWKS())
			put(t, store, old)
			w := m.wrapper("orders")
			orders := keep(t, store, w)
			if got := orders.Stats().By; got != c.writer {
				t.Errorf("the ring was written by %q, want %q", got, c.writer)
			}
			if next := c.change(m); next != nil {
				set = next
			}
			m.roster.Seq++
			put(t, store, mustWrap(t, m.writer("ops"), set.SecretJWKS()))
			eventually(t, "the change at the node", func() bool {
				s := orders.Stats()
				return w.Roster().Seq == m.roster.Seq && s.By == "ops" && s.Epoch == m.roster.Epoch
			})
			repaired := func(what string) {
				t.Helper()
				eventually(t, what, func() bool {
					blob, err := store.Load(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					fresh := m.wrapper("edge")
					_, err = fresh.Unwrap(domain, blob.Data)
					return err == nil && fresh.Roster().Seq == m.roster.Seq
				})
			}
			repaired("the new roster in the store")

			put(t, store, old)
			repaired("the new roster in the store again")
			eventually(t, "the node to say who wrote the ring, and that it put it back", func() bool {
				s := orders.Stats()
				return s.By == "orders" && s.Repairs > 0
			})
			if err := orders.Ready(); err != nil {
				t.Errorf("the node is not ready: %v", err)
			}
			if kid := set.Keys()[0].ID(); orders.Set().Lookup([]byte(kid)) == nil {
				t.Errorf("the node has %v, want it with key %s", orders.Set(), kid)
			}

			foreign := mustWrap(t, newTeam(t, NewIdentity).writer("ops"), newSet(t, domain).SecretJWKS())
			put(t, store, foreign)
			failures := orders.Stats().Failures
			eventually(t, "the node to see the foreign ring", func() bool { return orders.Stats().Failures > failures+3 })
			if blob, err := store.Load(t.Context()); err != nil || string(blob.Data) != string(foreign) {
				t.Errorf("the foreign ring is no longer there, %v: a node replaced what it could not judge", err)
			}
		})
	}
}
