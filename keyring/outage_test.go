package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func open(t *testing.T, store keyring.Source, opts ...keyring.Option) *keyring.Ring {
	t.Helper()
	opts = append([]keyring.Option{keyring.Domain("shop"), keyring.WithPolicy(brisk), hush(),
		keyring.Wrapped(keyring.InsecurePlaintext())}, opts...)
	ring, err := keyring.Follow(t.Context(), store, opts...)
	noError(t, err)
	t.Cleanup(func() { ring.Close() })
	return ring
}

// TestStartWhileTheStoreIsDown: with the cache of an earlier run a node serves, without it it says that it does not.
func TestStartWhileTheStoreIsDown(t *testing.T) {
	for name, lose := range map[string]func(m *memory){
		"down": func(m *memory) { m.down = true }, "wiped": func(m *memory) { m.data, m.rev = nil, 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{}
			cache := keyring.Cache(filepath.Join(t.TempDir(), "ring"))
			c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
			first := open(t, store, cache, keyring.WithPolicy(keyring.DefaultPolicy()))
			kid := first.Set().Keys()[0].ID()
			first.Close()
			store.do(func() { lose(store) })

			cold := open(t, store, keyring.WithPolicy(keyring.DefaultPolicy()))
			if cold.Set() != nil || cold.Ready() == nil {
				t.Errorf("%s, without a cache: got %v, ready %v; want no keys", name, cold.Set(), cold.Ready())
			}
			warm := c.join(0, rules, cache)
			now := time.Now()
			if key := warm.Active(keyring.Signed, now, now.Add(time.Hour)); key == nil || key.ID() != kid || warm.Ready() != nil {
				t.Errorf("%s, with a cache: got key %v, ready %v; want %s and ready", name, key, warm.Ready(), kid)
			}
			if warm.Fresh() || warm.ConfirmedSince(now.Add(-time.Hour)) {
				t.Errorf("%s, with a cache: the ring counts as confirmed", name)
			}
			store.do(func() { store.down = false })
			time.Sleep(2 * time.Minute)
			for i, ring := range []*keyring.Ring{warm.Ring, cold} { // the wiped store has its ring back
				if err := ring.Ready(); err != nil || !ring.Fresh() || ring.Set().Lookup([]byte(kid)) == nil {
					t.Errorf("%s, later, ring %d: got %v and fresh %v, want ready and fresh", name, i, err, ring.Fresh())
				}
			}
		})
	}
}

func TestCacheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ring")
		store := &memory{}
		c := newCrowd(t, store, brisk, 1)
		c.joinMany(2, rules)
		ring := open(t, store, keyring.Cache(path))
		for range 3 {
			time.Sleep(5 * time.Second)
			data, err := os.ReadFile(path)
			noError(t, err)
			set, err := keyring.ParseSet(data)
			noError(t, err)
			if got, want := set.Generation(), ring.Stats().Generation; got != want {
				t.Errorf("got generation %d in the cache, want %d", got, want)
			}
			info, err := os.Stat(path)
			noError(t, err)
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("got mode %04o, want 0600", got)
			}
		}
		before, err := os.ReadFile(path)
		noError(t, err)
		for _, m := range c.nodes {
			m.Close()
		}
		store.do(func() { store.data, store.rev = store.old, store.rev-1 }) // a rollback is not what the node knows
		time.Sleep(2 * time.Second)
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("the cache has changed to less than the process knows")
		}
		noError(t, os.Chmod(path, 0o644))
		ring.Close()
		store.do(func() { store.down = true })
		if ring := open(t, store, keyring.Cache(path)); ring.Set() != nil {
			t.Error("a cache that everybody can read was taken")
		}
	})
	if _, err := keyring.Follow(t.Context(), &memory{}, keyring.Cache("x")); err == nil {
		t.Error("a cache of a plain ring: got no error")
	}
}

// TestBadContent: whatever stands in the store, the last good ring stays, and nobody overwrites what he cannot read.
func TestBadContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := keyring.DefaultPolicy()
		store := &memory{}
		c := newCrowd(t, store, policy, 1)
		m := c.join(0, rules)
		good, set := store.data, m.Set()
		other, err := policy.Genesis("bank", time.Now())
		noError(t, err)
		var crowd []*keyring.Key
		for range 12 {
			now := time.Now()
			k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now.Add(time.Hour), Expires: now.Add(99 * time.Hour)})
			noError(t, err)
			crowd = append(crowd, k)
		}
		flood, err := set.With(crowd...)
		noError(t, err)
		for name, data := range map[string]string{
			"nothing": "", "garbage": "\x00\x01", "an empty set": `{"ring":"shop","gen":9,"keys":[]}`, "cut": string(good[:len(good)-9]),
			"another domain": string(other.SecretJWKS()), "a flood of keys": string(flood.SecretJWKS()),
			"an altered time": strings.Replace(string(good), `"exp": `, `"exp": 1`, 1),
			"two of one name": strings.Replace(string(good), `"keys": [`, `"keys": [{"kid":"`+set.Keys()[0].ID()+`","ambiguous":true},`, 1),
		} {
			failures := m.Stats().Failures
			store.do(func() { store.data, store.rev = []byte(data), store.rev+1 })
			time.Sleep(3 * time.Minute)
			if m.Set() != set || m.Ready() != nil || m.Stats().Failures == failures {
				t.Errorf("%s: got %v, ready %v, failures %d; want the last good ring and a count", name, m.Set(), m.Ready(), m.Stats().Failures)
			}
			if string(store.data) != data {
				t.Errorf("%s: a node overwrote what it could not read", name)
			}
			if m.Fresh() {
				t.Errorf("%s: the ring counts as confirmed", name)
			}
		}
		store.do(func() { store.data, store.rev = good, store.rev+1 })
		time.Sleep(time.Minute)
		if !m.Fresh() || m.Set() != set {
			t.Errorf("good again: got fresh %v, %v", m.Fresh(), m.Set())
		}
		time.Sleep(policy.Delay)
		noError(t, m.Ready())
	})
}

// TestEpoch: a later epoch burns all keys before it, also those that only one node ever saw.
func TestEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
		c.joinMany(2, rules)
		lone := c.join(0, rules)
		made, err := lone.Rotate(t.Context())
		noError(t, err)
		old := store.data
		set, err := keyring.Policy{Protections: []keyring.Protection{keyring.Signed}}.Genesis("shop", time.Now())
		noError(t, err)
		store.do(func() { store.data, store.rev = set.WithEpoch(1).SecretJWKS(), store.rev+1 })
		time.Sleep(time.Minute)
		check := func(what string) {
			t.Helper()
			for i, m := range c.nodes {
				if got := m.Set(); got.Epoch() != 1 || got.Lookup([]byte(made[0].ID())) != nil || len(got.Keys()) != 1 {
					t.Errorf("%s, node %d: got %v of epoch %d, want the new keys alone", what, i, got, got.Epoch())
				}
				noError(t, m.Ready())
			}
		}
		check("burnt")
		store.do(func() { store.data, store.rev = old, store.rev+1 })
		time.Sleep(time.Minute)
		check("an old ring replayed")
		if got, err := keyring.ParseSet(store.data); err != nil || got.Epoch() != 1 {
			t.Errorf("got epoch %d in the store, %v; want 1 put back", got.Epoch(), err)
		}
	})
}

// TestSettled: a process that starts uses an older key first, and the newest one once it has held it for long enough.
func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := keyring.DefaultPolicy()
		store := &memory{}
		now := time.Now()
		var keys []*keyring.Key
		for _, age := range []time.Duration{20 * time.Hour, 10 * time.Hour} {
			from := now.Add(-age)
			k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: from, NotBefore: from, Expires: from.Add(99 * time.Hour)})
			noError(t, err)
			keys = append(keys, k)
		}
		set, err := keyring.NewSet("shop", keys...)
		noError(t, err)
		noError(t, keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), set))
		link := &cut{memory: store}
		ring := open(t, link, keyring.WithPolicy(policy))
		active := func(what string, want *keyring.Key, held int) {
			t.Helper()
			now := time.Now()
			if got := ring.Active(keyring.Signed, now, now.Add(time.Hour)); got != want && got.ID() != want.ID() {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
			if got := ring.Stats().Unsettled; got != held {
				t.Errorf("%s: got %d keys held by the gate, want %d", what, got, held)
			}
		}
		active("at the start", keys[0], 2)
		time.Sleep(30 * time.Second)
		link.off.Store(true)
		time.Sleep(2 * time.Minute)
		active("out of touch", keys[0], 2)
		link.off.Store(false)
		time.Sleep(time.Minute)
		active("in touch for less than Settle", keys[0], 2)
		time.Sleep(time.Minute)
		active("settled", keys[1], 0)
		link.off.Store(true)
		time.Sleep(time.Hour)
		active("out of touch once settled", keys[1], 0)
		if got := testing.AllocsPerRun(100, func() { ring.Active(keyring.Signed, now, now.Add(time.Hour)) }); got != 0 {
			t.Errorf("Active: got %v allocations, want none", got)
		}
	})
}

// TestKeyOutlivesItsTokens: no key issues a token that a node with a clock ahead could not open.
func TestKeyOutlivesItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		newCrowd(t, store, brisk, 1)
		ring := open(t, store)
		key := ring.Set().Keys()[0]
		now, limit := time.Now(), key.Times().Expires.Add(-2*brisk.MaxSkew)
		if got := ring.Active(keyring.Signed, now, limit); got == nil {
			t.Error("a token that ends in time: got no key")
		}
		if got := ring.Active(keyring.Signed, now, limit.Add(time.Millisecond)); got != nil {
			t.Errorf("a token that ends too late: got %v, want no key", got)
		}
	})
}

// TestNudges: a nudge wakes the ring, and one whose nudges end goes on polling and asks for them again.
func TestNudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{ears: map[chan struct{}]int{}}
		c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
		m := c.join(0, rules)
		follower := open(t, store, keyring.WithPolicy(keyring.DefaultPolicy()))
		synctest.Wait()
		change := func(within time.Duration) {
			t.Helper()
			made, err := m.Rotate(t.Context())
			noError(t, err)
			time.Sleep(within)
			if follower.Set().Lookup([]byte(made[0].ID())) == nil {
				t.Errorf("the ring did not follow within %v", within)
			}
		}
		change(100 * time.Millisecond)
		store.do(func() {
			for ear := range store.ears {
				delete(store.ears, ear)
				close(ear)
			}
		})
		change(40 * time.Second)
		change(100 * time.Millisecond)
		store.do(func() {
			for ear := range store.ears {
				delete(store.ears, ear) // silent from now on, as a watcher that lost its server
			}
		})
		change(40 * time.Second)
	})
}

// TestPolicyFits holds that the defaults fit, and what does not.
func TestPolicyFits(t *testing.T) {
	noError(t, keyring.Policy{}.Validate())
	noError(t, brisk.Validate())
	if got := keyring.DefaultPolicy().MinDelay(); got != 2*time.Minute {
		t.Errorf("MinDelay: got %v, want 2m", got)
	}
	for name, p := range map[string]keyring.Policy{
		"Delay":                {Delay: time.Minute},
		"Period":               {Period: time.Hour, Delay: 9 * time.Hour, Horizon: 2 * time.Hour, Slack: 9 * time.Hour},
		"Horizon":              {Horizon: 10 * time.Minute},
		"Slack":                {Slack: time.Hour},
		"keys of a protection": {Period: 2 * time.Hour, Delay: time.Hour},
		"Settle":               {Settle: -1},
		"Protections: unknown": {Protections: []keyring.Protection{0}},
		"Protections: sealed":  {Protections: []keyring.Protection{keyring.Sealed, keyring.Sealed}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
		opts := []keyring.Option{keyring.Domain("shop"), keyring.WithPolicy(p)}
		if _, err := keyring.Maintain(t.Context(), &memory{}, keyring.InsecurePlaintext(), opts...); err == nil {
			t.Errorf("%s: Keep took the policy", name)
		}
	}
	if _, err := keyring.Maintain(t.Context(), &memory{}, keyring.InsecurePlaintext()); err == nil {
		t.Error("Keep without a domain: got no error")
	}
	if _, err := keyring.Follow(t.Context(), &memory{down: true}); !errors.Is(err, errDown) {
		t.Errorf("a plain ring that cannot be read: got %v, want the cause", err)
	}
	set, err := keyring.Policy{Protections: []keyring.Protection{keyring.Signed, keyring.Sealed}}.Genesis("shop", time.Now())
	noError(t, err)
	var protections []string
	for _, k := range set.Keys() {
		protections = append(protections, k.Protection().String())
	}
	if slices.Sort(protections); !slices.Equal(protections, []string{"sealed", "signed"}) {
		t.Errorf("Genesis: got keys of %v, want signed and sealed", protections)
	}
}
