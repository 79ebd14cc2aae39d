package natskvtest

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// flood asks a ring for names that no key has, each another one, as fast as one core can, until it is stopped.
func flood(ring *keyring.Ring) (stop func() (asked int64)) {
	var asked atomic.Int64
	var done atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		var raw [8]byte
		kid := make([]byte, 11)
		for i := uint64(0); !done.Load(); i++ {
			binary.BigEndian.PutUint64(raw[:], i)
			base64.RawURLEncoding.Encode(kid, raw[:])
			ring.Unknown(kid)
			asked.Add(1)
		}
	})
	return func() int64 {
		done.Store(true)
		all.Wait()
		return asked.Load()
	}
}

// newcomers opens a ring over a server that hears no nudges, and one that makes keys.
func newcomers(t testing.TB) (store *counted, listener *node, maker *node) {
	t.Helper()
	s := openShop(t, "orders")
	store = &counted{Store: newStore(t, connect(t, s.url), "shop"), deaf: true}
	return store, s.process(store, s.stranger("orders"), asDefault), s.process(s.store, s.wrapper("operator"), asDefault)
}

// TestFloodOfUnknownKeys: beside a flood of names that no key has, at the pace of the default policy, the store is read at
// most 10 times in 3 s, every good token opens, and a key that another node has just made is found by a read that a token
// under it asks for, within a second. That a bogus name allocates nothing is TestUnknownAllocates of package keyring.
func TestFloodOfUnknownKeys(t *testing.T) {
	store, listener, maker := newcomers(t)
	time.Sleep(1100 * time.Millisecond) // until the ring is no longer just confirmed, and would refuse to ask
	good, err := maker.auth.Issue()
	check(t, err)
	reads, began := store.reads.Load(), time.Now()
	stop := flood(listener.ring)
	var kid []byte
	var made time.Time
	found := time.Duration(0)
	for opened := 0; time.Since(began) < 3*time.Second || found == 0 && time.Since(began) < patience; opened++ {
		if _, err := listener.auth.Open(good.Token()); err != nil {
			t.Fatalf("a good token beside the flood, after %d: %v", opened, err)
		}
		switch {
		case kid == nil && time.Since(began) > time.Second:
			keys, err := maker.ring.Rotate(t.Context())
			check(t, err)
			kid, made = []byte(keys[0].ID()), time.Now()
		case kid != nil && found == 0:
			listener.ring.Unknown(kid)
			if listener.ring.Set().Lookup(kid) != nil {
				found = time.Since(made)
			}
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	asked := stop()
	spent := store.reads.Load() - reads
	stats := listener.ring.Stats()
	t.Logf("%d bogus names in %v: %d reads, the new key found after %v; %d fetched, %d refused, %d throttled", asked,
		took.Round(time.Millisecond), spent, found.Round(time.Millisecond), stats.UnknownFetched, stats.UnknownSkipped,
		stats.UnknownThrottled)
	if most := int64(10 * (1 + took/(4*time.Second))); spent > most || spent == 0 { // a slow machine takes longer than 3 s
		t.Errorf("got %d reads in %v, want some and at most %d", spent, took, most)
	}
	if found == 0 {
		t.Error("a new key was not found, want it within a second")
	}
	if asked < 10_000 {
		t.Errorf("%d bogus names are no flood", asked)
	}
}

// BenchmarkOpenBesideFlood is how long good tokens take, in the 99th percentile, with a flood on another core and without
// one, in turns. The aim is at most 10 % more, which takes a machine with a core for each.
func BenchmarkOpenBesideFlood(b *testing.B) {
	_, listener, maker := newcomers(b)
	good, err := maker.auth.Issue()
	check(b, err)
	token := good.Token()
	var with, without []time.Duration
	sample := func(to *[]time.Duration) {
		for range 2000 {
			began := time.Now()
			if _, err := listener.auth.Open(token); err != nil {
				b.Fatal(err)
			}
			*to = append(*to, time.Since(began))
		}
	}
	for b.Loop() {
		sample(&without)
		stop := flood(listener.ring)
		sample(&with)
		stop()
	}
	p99 := func(of []time.Duration) float64 { slices.Sort(of); return float64(of[len(of)*99/100]) }
	median := func(of []time.Duration) float64 { return float64(of[len(of)/2]) }
	b.ReportMetric(p99(with)/p99(without), "p99-ratio")
	b.ReportMetric(p99(without), "p99-ns")
	b.ReportMetric(median(with)/median(without), "median-ratio")
}
