package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// store is a source that a test changes and counts.
type store struct {
	mu    sync.Mutex
	data  []byte
	err   error
	loads int
	block chan struct{} // until it is closed or the context ends, if not nil
}

func (s *store) Load(ctx context.Context) (keyring.Blob, error) {
	s.mu.Lock()
	block := s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return keyring.Blob{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return keyring.Blob{Data: s.data}, s.err
}

// Nudges says that there are none.
func (s *store) Nudges(context.Context) <-chan struct{} { return nil }

func (s *store) set(data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.err = data, err
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

func logTo(j *journal) keyring.Option {
	return keyring.Logger(slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func generation(n int, keys ...any) []byte {
	return asJSON(map[string]any{"ring": "shop", "gen": n, "keys": keys})
}

func TestOpenErrors(t *testing.T) {
	good := generation(1, macJWK("a"))
	for _, test := range []struct {
		name string
		data []byte
		err  error
		opts []keyring.Option
		want string
	}{
		{"ordinary", good, nil, nil, ""},
		{"store down", nil, errors.New("store down"), nil, "store down"},
		{"no ring", []byte("{}"), nil, nil, "has no keys"},
		{"no polling", good, nil, []keyring.Option{keyring.Poll(0)}, "poll interval 0s must be greater than zero"},
		{"polling backwards", good, nil, []keyring.Option{keyring.Poll(-time.Second)}, "must be greater than zero"},
		{"a ring as a foreign set", good, nil, []keyring.Option{keyring.Foreign("shop")}, ""},
		{"a foreign set as a ring", asJSON(map[string]any{"keys": []any{macJWK("a")}}), nil, nil, "keyring.Foreign"},
		{"a foreign set", asJSON(map[string]any{"keys": []any{macJWK("a").with("kid", "primary")}}), nil, []keyring.Option{keyring.Foreign("shop")}, ""},
	} {
		ring, err := keyring.Follow(t.Context(), &store{data: test.data, err: test.err}, test.opts...)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if err == nil {
			ring.Close()
		} else if ring != nil {
			t.Errorf("%s: got a ring and an error", test.name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keyring.Follow(ctx, &store{data: good, block: make(chan struct{})}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestPollPicksUpChanges follows a source over good and bad states: a bad one changes nothing and is logged, without key
// material, and the next good one is taken.
func TestPollPicksUpChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 30 * time.Second
		var log journal
		s := &store{data: generation(1, macJWK("a"))}
		ring := must(keyring.Follow(t.Context(), s, logTo(&log)))(t)
		defer ring.Close()
		poll := func() { // one interval with its jitter, and what follows from it
			time.Sleep(every * 3 / 2)
			synctest.Wait()
		}
		kid := func() string { return ring.Set().Keys()[0].ID() }
		wantStats := func(what string, gen, swaps uint64, failing bool) {
			t.Helper()
			got := ring.Stats()
			if got.Generation != gen || got.Swaps != swaps || got.Keys == 0 || ring.Fresh() == (got.Age >= 3*every) {
				t.Errorf("%s: got %+v, fresh %v, want generation %d and %d swaps", what, got, ring.Fresh(), gen, swaps)
			}
			if (got.Failures > 0) != failing {
				t.Errorf("%s: got %d failures, want some: %v", what, got.Failures, failing)
			}
		}
		wantStats("opened", 1, 0, false)
		time.Sleep(5 * time.Second)
		if got := ring.Stats().Age; got != 5*time.Second {
			t.Errorf("got age %v after 5 s", got)
		}

		before := ring.Set()
		poll()
		if ring.Set() != before || log.String() != "" {
			t.Errorf("nothing changed: got a new set, or the log %s", &log)
		}
		s.set(generation(2, macJWK("b"), macJWK("a")), nil)
		poll()
		wantStats("second", 2, 1, false)
		if !strings.Contains(log.String(), "level=INFO") || !strings.Contains(log.String(), "generation 2, 2 keys") {
			t.Errorf("got the log %q, want that a ring was taken", &log)
		}

		second := ring.Set()
		for _, bad := range []struct {
			name string
			data []byte
			err  error
		}{
			{"an error", nil, errors.New("store down")},
			{"nothing", nil, nil},
			{"garbage", []byte(secret("b") + " is not a ring"), nil},
			{"half a file", generation(3, macJWK("c"))[:150], nil},
			{"an altered entry", generation(3, macJWK("c").with("k", secret("d"))), nil},
			{"31 bytes", generation(3, macJWK("c").with("k", secret("c")[:41])), nil},
			{"no keys", generation(3), nil},
			{"another domain", bytes.Replace(generation(3, macJWK("c")), []byte(`"shop"`), []byte(`"bank"`), 1), nil},
		} {
			log.reset()
			failures, loads := ring.Stats().Failures, s.count()
			s.set(bad.data, bad.err)
			poll()
			failures, loads = ring.Stats().Failures-failures, s.count()-loads
			if ring.Set() != second || loads == 0 || failures != uint64(loads) {
				t.Errorf("%s: got %v, %d loads and %d failures, want the last good set, and that all failed", bad.name, ring.Set(), loads, failures)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "keeping the last good one") {
				t.Errorf("%s: got the log %q, want a warning", bad.name, &log)
			}
			for _, label := range []string{"a", "b", "c", "d"} {
				wantNoSecret(t, bad.name, log.String(), []string{secret(label), secret(label)[:10], secret(label)[20:30]})
			}
		}
		// Long out of touch, the ring still has its keys, and says that it is not fresh.
		time.Sleep(10 * every)
		if ring.Fresh() || ring.Stats().Age < 3*every || kid() != second.Keys()[0].ID() {
			t.Errorf("got fresh %v after %v, want the old keys and not fresh", ring.Fresh(), ring.Stats().Age)
		}
		s.set(generation(4, macJWK("e")), nil)
		poll()
		wantStats("recovered", 4, 2, true)
		if kid() != macJWK("e").kid() {
			t.Errorf("got key %s, want the new one", kid())
		}
		// The same bytes after an error are a confirmation.
		s.set(generation(4, macJWK("e")), errors.New("down"))
		time.Sleep(10 * every)
		s.set(generation(4, macJWK("e")), nil)
		poll()
		wantStats("confirmed", 4, 2, true)
		if !ring.Fresh() {
			t.Error("not fresh after the source has confirmed the same bytes")
		}
	})
}

// TestPollInterval: a fleet does not read in step, and no path ends the polling.
func TestPollInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{data: generation(1, macJWK("a"))}
		ring := must(keyring.Follow(t.Context(), s, keyring.Poll(10*time.Second), keyring.Logger(slog.New(slog.DiscardHandler))))(t)
		defer ring.Close()
		begin := time.Now()
		var times []time.Duration
		last := s.count()
		for len(times) < 40 {
			if len(times) == 20 {
				s.set(nil, errors.New("down")) // errors do not slow it down or stop it
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if n := s.count(); n != last {
				last = n
				times = append(times, time.Since(begin))
				begin = time.Now()
			}
		}
		different := map[time.Duration]bool{}
		for _, d := range times {
			different[d] = true
			if d < 7900*time.Millisecond || d > 12100*time.Millisecond {
				t.Errorf("got an interval of %v, want 8 to 12 s", d)
			}
		}
		if len(different) < 10 {
			t.Errorf("got %d different intervals, want jitter", len(different))
		}
	})
}

// TestClose: it ends the goroutine, also one that waits for its source, and the keys stay.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		s := &store{data: generation(1, macJWK("a"))}
		var log journal
		ring := must(keyring.Follow(t.Context(), s, logTo(&log)))(t)
		s.mu.Lock()
		s.block = make(chan struct{})
		s.mu.Unlock()
		time.Sleep(time.Minute) // it is in Load now
		synctest.Wait()
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
		loads := s.count()
		close(s.block)
		time.Sleep(time.Hour)
		if s.count() != loads || len(ring.Set().Keys()) != 1 || log.String() != "" {
			t.Errorf("got %d loads, %v and the log %q after Close, want %d, the keys and nothing", s.count(), ring.Set(), &log, loads)
		}
		if err := ring.Close(); err != nil {
			t.Errorf("closed twice: got %v", err)
		}
	})
	// The context of Open bounds the first read only.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &store{data: generation(1, macJWK("a"))}
		ring := must(keyring.Follow(ctx, s))(t)
		cancel()
		loads := s.count()
		time.Sleep(5 * time.Minute)
		if s.count() == loads {
			t.Error("polling ended with the context of Open")
		}
		ring.Close()
	})
	if err := keyring.NewRing(nil).Close(); err != nil {
		t.Errorf("a ring without a source: got %v", err)
	}
}

func TestSwap(t *testing.T) {
	a, b := newSet(t, generate(t, keyring.Signed, around())), newSet(t, generate(t, keyring.Signed, around()))
	ring := keyring.NewRing(nil)
	if ring.Set() != nil || ring.Fresh() || ring.Stats() != (keyring.Stats{}) {
		t.Errorf("not loaded: got %v, fresh %v, %+v", ring.Set(), ring.Fresh(), ring.Stats())
	}
	for _, set := range []*keyring.Set{a, b} {
		if err := ring.Swap(set); err != nil || ring.Set() != set || !ring.Fresh() {
			t.Errorf("got %v, %v, want %v", ring.Set(), err, set)
		}
	}
	if err := ring.Swap(nil); err == nil || ring.Set() != b {
		t.Errorf("emptied: got %v, %v, want an error and the last set", ring.Set(), err)
	}
	bank := must(keyring.NewSet("bank", generate(t, keyring.Signed, around())))(t)
	if err := ring.Swap(bank); !errors.Is(err, keyring.ErrDomain) || ring.Set() != b {
		t.Errorf("another domain: got %v, %v, want ErrDomain and the last set", ring.Set(), err)
	}
	if got := ring.Stats(); got.Swaps != 2 || got.Generation != 1 || got.Keys != 1 || got.Age != 0 || got.Failures != 0 {
		t.Errorf("got %+v, want 2 swaps of 1 key", got)
	}
}

// TestSwapWhileReading: readers see one set or the other, whole.
func TestSwapWhileReading(t *testing.T) {
	var sets []*keyring.Set
	for range 4 {
		sets = append(sets, newSet(t, generate(t, keyring.Signed, around()), generate(t, keyring.Public, around())))
	}
	ring := keyring.NewRing(sets[0])
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				set := ring.Set()
				k := set.Active(keyring.Signed, epoch, epoch)
				if k == nil || set.Lookup([]byte(k.ID())) != k || len(set.Keys()) != 2 {
					t.Errorf("got %v, want a whole set", set)
					return
				}
				_ = ring.Stats()
			}
		})
	}
	for _, set := range sets {
		writers.Go(func() {
			for range 500 {
				if err := ring.Swap(set); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if got := ring.Stats().Swaps; got != 2000 {
		t.Errorf("got %d swaps, want 2000", got)
	}
}

func ExampleNewRing() {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(48 * time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	ring := keyring.NewRing(set)
	fmt.Println(ring.Set())
	// Output: ring shop, generation 1, 1 keys
}
