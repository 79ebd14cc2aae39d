package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Ring holds the current [Set] of a trust domain and swaps it as a whole. It is safe for concurrent use.
type Ring struct {
	set   atomic.Pointer[Set]
	fresh atomic.Int64 // when a source last confirmed the set, in Unix nanoseconds; 0: there is no source

	swap     sync.Mutex // serialises writers, so that a generation never falls
	window   time.Duration
	failures atomic.Uint64
	swaps    atomic.Uint64

	stop context.CancelFunc
	done chan struct{}
}

// NewRing returns a ring without a source: it holds set until somebody swaps it. A nil set is a ring whose keys are
// not loaded; it opens and issues nothing.
func NewRing(set *Set) *Ring {
	r := &Ring{stop: func() {}, done: make(chan struct{})}
	close(r.done)
	if set != nil {
		r.set.Store(set)
	}
	return r
}

// Source gives the bytes of a ring.
type Source interface {
	// Load returns the ring as the store has it now. It returns an error whenever it cannot tell, never an empty ring.
	Load(ctx context.Context) ([]byte, error)
}

// Option configures [Open] and [OpenFile].
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	poll   time.Duration
	logger *slog.Logger
	parse  func([]byte) (*Set, error)
}

// Poll sets how often the source is read, on average; 30 s by default. The intervals vary by a fifth, so that a fleet
// does not read in step.
func Poll(every time.Duration) Option { return option(func(c *config) { c.poll = every }) }

// Logger sets where a ring reports that it kept its last good set; slog.Default by default.
func Logger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

// Foreign reads a JWK Set that other software made, as [ParseForeign] does.
func Foreign(domain string) Option {
	return option(func(c *config) {
		c.parse = func(data []byte) (*Set, error) { return ParseForeign(domain, data) }
	})
}

// Open reads the ring from source, and again in the background until [Ring.Close]. The context bounds the first read. A
// later read that fails, or brings something that is not a ring of the same domain, changes nothing and is logged.
func Open(ctx context.Context, source Source, opts ...Option) (*Ring, error) {
	c := config{poll: 30 * time.Second, logger: slog.Default(), parse: ParseSet}
	for _, o := range opts {
		o.apply(&c)
	}
	if c.poll <= 0 {
		return nil, fmt.Errorf("keyring: poll interval %v is not positive", c.poll)
	}
	data, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	set, err := c.parse(data)
	if err != nil {
		return nil, err
	}
	r := NewRing(set)
	r.window = 3 * c.poll
	r.fresh.Store(time.Now().UnixNano())
	r.done = make(chan struct{})
	ctx, r.stop = context.WithCancel(context.Background())
	go r.follow(ctx, source, c, data)
	return r, nil
}

// follow polls until the ring is closed. Every path leads back to the timer.
func (r *Ring) follow(ctx context.Context, source Source, c config, last []byte) {
	defer close(r.done)
	for {
		jitter := time.Duration((0.8 + 0.4*rand.Float64()) * float64(c.poll))
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter):
		}
		data, err := source.Load(ctx)
		if err == nil && !bytes.Equal(data, last) {
			err = r.take(data, c.parse)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.failures.Add(1)
			c.logger.Warn("waybill: key ring not refreshed, the last good one stays", "error", err, "ring", r.Set().String())
			continue
		}
		if !bytes.Equal(data, last) {
			c.logger.Info("waybill: key ring refreshed", "ring", r.Set().String())
			last = data
		}
		r.fresh.Store(time.Now().UnixNano())
	}
}

func (r *Ring) take(data []byte, parse func([]byte) (*Set, error)) error {
	set, err := parse(data)
	if err != nil {
		return err
	}
	return r.Swap(set)
}

// ErrDomain is returned for a set of another trust domain.
var ErrDomain = errors.New("keyring: set of another trust domain")

// Swap replaces the set. Requests under way finish with the one they began with.
func (r *Ring) Swap(set *Set) error {
	if set == nil {
		return errors.New("keyring: a ring cannot be emptied")
	}
	r.swap.Lock()
	defer r.swap.Unlock()
	if old := r.set.Load(); old != nil && old.domain != set.domain {
		return fmt.Errorf("%w: %s, not %s", ErrDomain, set.domain, old.domain)
	}
	r.set.Store(set)
	r.swaps.Add(1)
	return nil
}

// Set returns the current set, or nil if none was loaded.
func (r *Ring) Set() *Set { return r.set.Load() }

// Fresh reports whether the source confirmed the set within three polling intervals. A ring without a source is
// always fresh once it has a set. An unknown key is the sender's fault only while the ring is fresh.
func (r *Ring) Fresh() bool {
	at := r.fresh.Load()
	if at == 0 {
		return r.set.Load() != nil
	}
	return time.Since(time.Unix(0, at)) < r.window
}

// Stats is a view of a ring for metrics and health checks.
type Stats struct {
	Generation uint64        // of the current set; 0 if none was loaded
	Keys       int           // in the current set
	Age        time.Duration // since the source last confirmed the set; 0 without a source
	Swaps      uint64        // sets taken since the start
	Failures   uint64        // reads of the source that changed nothing because they failed
}

// Stats returns the ring's figures.
func (r *Ring) Stats() Stats {
	set := r.Set()
	s := Stats{Generation: set.Generation(), Swaps: r.swaps.Load(), Failures: r.failures.Load()}
	if set != nil {
		s.Keys = len(set.keys)
	}
	if at := r.fresh.Load(); at != 0 {
		s.Age = time.Since(time.Unix(0, at))
	}
	return s
}

// Close ends the polling and waits for it. The keys stay usable.
func (r *Ring) Close() error {
	r.stop()
	<-r.done
	return nil
}
