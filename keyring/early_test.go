package keyring_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// TestFastOperator: a ring whose first keys were made by an operator with a fast clock, in a store without a clock, serves at
// once on all nodes, and its rotation goes on.
func TestFastOperator(t *testing.T) {
	for _, fast := range []time.Duration{time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{silent: true}
			c := newCrowd(t, store, brisk, 11)
			set, err := brisk.Genesis("shop", time.Now().Add(fast))
			noError(t, err)
			store.do(func() { store.data = set.WithEpoch(1).SecretJWKS() })
			c.joinMany(10, rules)
			c.live(fast / 2)
			c.wantNone("before the time of the first key")
			for i, m := range c.nodes {
				if err := m.Ready(); err != nil {
					t.Errorf("node %d, before the time of the first key: %v", i, err)
				}
			}
			late := c.join(0, rules) // a node that starts meanwhile
			c.live(fast/2 + 30*time.Second)
			c.wantNone("and after it")
			noError(t, late.Ready())
			if len(c.used) < 15 {
				t.Errorf("got %d keys used, want about one each second", len(c.used))
			}
			var repairs uint64
			for _, m := range c.nodes {
				repairs += m.Stats().Repairs
			}
			if repairs > 0 {
				t.Errorf("got %d repairs of a store that lost nothing", repairs)
			}
		})
	}
}

// TestPendingKeyIssues: the earliest pending key issues when no other can, in a ring with a policy and nowhere else.
func TestPendingKeyIssues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		key := func(from, until time.Duration) *keyring.Key {
			return generate(t, keyring.Signed, keyring.Times{Created: start, NotBefore: start.Add(from), Expires: start.Add(until)})
		}
		active, later, next, brief := key(0, time.Hour), key(6*time.Hour, 90*time.Hour), key(3*time.Hour, 90*time.Hour), key(2*time.Hour, 3*time.Hour)
		set := newSet(t, active, later, next, brief)
		store := &memory{}
		noError(t, keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), set))
		policy := keyring.WithPolicy(keyring.Policy{Protections: []keyring.Protection{keyring.Public}})
		ring := open(t, store, policy)
		want := func(what string, ring *keyring.Ring, life time.Duration, want *keyring.Key) {
			t.Helper()
			now := time.Now()
			if got := ring.Active(keyring.Signed, now, now.Add(life)); got.ID() != want.ID() {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
		time.Sleep(30 * time.Minute)
		want("a key is active", ring, time.Minute, active)
		want("the active key ends before the token", ring, time.Hour, brief)
		time.Sleep(time.Hour)
		want("the active key is gone", ring, time.Minute, brief)
		want("the earliest pending key ends before the token", ring, 2*time.Hour, next)
		want("no key outlives the token", ring, 1000*time.Hour, nil)
		noError(t, ring.Ready())
		time.Sleep(5 * time.Hour)
		want("its time has come", ring, time.Minute, later)

		want("a ring without a source", keyring.NewRing(newSet(t, key(8*time.Hour, 90*time.Hour))), time.Minute, nil)
		path := filepath.Join(t.TempDir(), "ring.jwks")
		putFile(t, path, string(newSet(t, key(8*time.Hour, 90*time.Hour)).SecretJWKS()))
		plain, err := keyring.LoadFile(t.Context(), path, hush())
		noError(t, err)
		defer plain.Close()
		want("a plain ring", plain, time.Minute, nil)
	})
}
