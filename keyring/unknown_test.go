package keyring_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

var bogus = []byte("AAAAAAAAAAA")

// TestUnknownKey: a key that another node has just made comes by one read, in the background or while the caller waits.
func TestUnknownKey(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{}
			c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
			m := c.join(0, rules)
			opts := []keyring.Option{keyring.WithPolicy(keyring.DefaultPolicy())}
			if waits {
				opts = append(opts, keyring.WaitUnknown())
			}
			ring := open(t, store, opts...)
			time.Sleep(2 * time.Second)
			made, err := m.Rotate(t.Context())
			noError(t, err)
			synctest.Wait() // the node that made the key reads once more
			kid := []byte(made[0].ID())
			reads := store.reads()
			found := make(chan bool, 10)
			start := time.Now()
			for range 10 {
				go func() { found <- ring.Unknown(kid) }()
			}
			for range 10 {
				if got := <-found; waits && !got {
					t.Error("a caller that waits: got no key")
				}
			}
			if took := time.Since(start); took > 250*time.Millisecond || !waits && took > 0 {
				t.Errorf("waits %v: took %v, want at most 250 ms, and nothing without waiting", waits, took)
			}
			synctest.Wait()
			if got := store.reads() - reads; got != 1 {
				t.Errorf("waits %v: got %d reads for ten callers, want 1", waits, got)
			}
			if ring.Set().Lookup(kid) == nil {
				t.Errorf("waits %v: the key did not come", waits)
			}
			if ring.Unknown(bogus); store.reads()-reads != 1 {
				t.Errorf("waits %v: read again though the store had just confirmed the ring", waits)
			}
			time.Sleep(2 * time.Second)
			start = time.Now()
			if ring.Unknown(bogus) || time.Since(start) > 250*time.Millisecond {
				t.Errorf("waits %v: a bogus key took %v", waits, time.Since(start))
			}
			store.do(func() { store.down = true })
			time.Sleep(time.Minute)
			reads, start = store.reads(), time.Now()
			if ring.Unknown(bogus) || time.Since(start) != 0 || store.reads() != reads {
				t.Errorf("waits %v: waited for a store that is out of reach", waits)
			}
		})
	}
}

// TestUnknownFlood: names that no key has lead to few reads, and do not keep an honest one from being found.
func TestUnknownFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
		m := c.join(0, rules)
		ring := open(t, store, keyring.WithPolicy(keyring.DefaultPolicy()))
		time.Sleep(5 * time.Second)
		reads := store.reads()
		made, err := m.Rotate(t.Context())
		noError(t, err)
		foundAfter := time.Duration(0)
		start := time.Now()
		for time.Since(start) < 3*time.Second {
			for range 1000 {
				ring.Unknown(bogus)
			}
			ring.Unknown([]byte(made[0].ID()))
			if foundAfter == 0 && ring.Set().Lookup([]byte(made[0].ID())) != nil {
				foundAfter = max(1, time.Since(start))
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := store.reads() - reads; got > 10 {
			t.Errorf("got %d reads in 3 s, want at most 10", got)
		}
		if foundAfter == 0 || foundAfter > time.Second {
			t.Errorf("an honest new key was found after %v, want at most 1 s", foundAfter)
		}
		s := ring.Stats()
		if s.UnknownFetched == 0 || s.UnknownSkipped == 0 {
			t.Errorf("got %d fetched, %d skipped, want some of each", s.UnknownFetched, s.UnknownSkipped)
		}
		before := s.UnknownSkipped
		for _, name := range []string{"", "x", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAAAAAAA.", "ÄÄÄÄÄA"} {
			ring.Unknown([]byte(name))
		}
		if got := ring.Stats().UnknownSkipped - before; got != 6 {
			t.Errorf("got %d of 6 impossible names refused", got)
		}
	})
}

func TestUnknownAllocates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		newCrowd(t, store, brisk, 1)
		ring := open(t, store)
		for _, kid := range [][]byte{bogus, []byte("x")} {
			if got := testing.AllocsPerRun(1000, func() { ring.Unknown(kid) }); got != 0 {
				t.Errorf("%s: got %v allocations, want none", kid, got)
			}
		}
	})
}

func BenchmarkUnknown(b *testing.B) {
	store := &memory{}
	set, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	noError(b, err)
	noError(b, keyring.Create(b.Context(), store, keyring.InsecurePlaintext(), set))
	ring, err := keyring.Follow(b.Context(), store, keyring.Domain("shop"), keyring.Wrapped(keyring.InsecurePlaintext()), hush())
	noError(b, err)
	defer ring.Close()
	b.ReportAllocs()
	for b.Loop() {
		ring.Unknown(bogus)
	}
}

func BenchmarkActive(b *testing.B) {
	set, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	noError(b, err)
	ring := keyring.NewRing(set)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		ring.Active(keyring.Signed, now, now.Add(time.Hour))
	}
}
