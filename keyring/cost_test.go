package keyring_test

import (
	"slices"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// ringOf is a ring of n keys of which the oldest but one issues: all others wait, as far as MaxKeys allows.
func ringOf(t testing.TB, n int) *keyring.Ring {
	t.Helper()
	now := time.Now()
	var keys []*keyring.Key
	for i := range n {
		from := now.Add(time.Duration(i-min(1, n-1)) * time.Minute)
		keys = append(keys, generate(t, keyring.Signed, keyring.Times{Created: now.Add(-time.Hour), NotBefore: from, Expires: now.Add(99 * time.Hour)}))
	}
	return keyring.NewRing(newSet(t, keys...))
}

// TestManyKeysAllocateNothing: what a request asks of a ring costs no allocation, with one key or as many as there may be.
func TestManyKeysAllocateNothing(t *testing.T) {
	for _, n := range []int{1, keyring.MaxKeys} {
		ring := ringOf(t, n)
		now := time.Now()
		key := ring.Active(keyring.Signed, now, now)
		if key == nil {
			t.Fatalf("%d keys: none is active", n)
		}
		kid, head := []byte(key.ID()), key.Codec().Head()
		for name, ask := range map[string]func() bool{
			"Active":     func() bool { return ring.Active(keyring.Signed, now, now.Add(time.Hour)) != nil },
			"Lookup":     func() bool { return ring.Set().Lookup(kid) == key },
			"LookupHead": func() bool { return ring.Set().LookupHead(head) == key },
		} {
			if got := testing.AllocsPerRun(100, func() {
				if !ask() {
					t.Fatalf("%s, %d keys: not found", name, n)
				}
			}); got != 0 {
				t.Errorf("%s, %d keys: got %v allocations, want none", name, n, got)
			}
		}
	}
}

// BenchmarkManyKeys is how long it takes to open a token and to find the key that issues, with 64 keys, against one key. The
// aim is a ratio of 1.
func BenchmarkManyKeys(b *testing.B) {
	took := func(what func()) time.Duration {
		began := time.Now()
		for range 1000 {
			what()
		}
		return time.Since(began)
	}
	var open, active [2][]time.Duration
	var runs [2]func()
	for i, n := range []int{1, keyring.MaxKeys} {
		ring := ringOf(b, n)
		auth, err := waybill.New("shop", ring)
		noError(b, err)
		wb, err := auth.Issue()
		noError(b, err)
		token, now := wb.Token(), time.Now()
		runs[i] = func() {
			open[i] = append(open[i], took(func() {
				if _, err := auth.Open(token); err != nil {
					b.Fatal(err)
				}
			}))
			active[i] = append(active[i], took(func() { ring.Active(keyring.Signed, now, now.Add(time.Hour)) }))
		}
	}
	for b.Loop() {
		runs[0]()
		runs[1]()
	}
	best := func(of []time.Duration) float64 { return float64(slices.Min(of)) }
	b.ReportMetric(best(open[1])/best(open[0]), "open-ratio")
	b.ReportMetric(best(active[1])/1000, "ns/active-of-64")
}
