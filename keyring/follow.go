package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// follower keeps a ring up to date with its source. One goroutine runs it; Rotate and Revoke take
// turns with it.
type follower struct {
	config
	ring    *Ring
	source  Source
	store   Store // nil: it only follows
	timeout time.Duration
	chance  *chance

	turns   chan struct{} // contains one token: its owner may use the fields below
	last    []byte        // what the source had, if it was taken
	seen    unsealed
	rev     uint64
	had     content
	sighted sightings
	maintainer
	cached []byte

	fails    int // reads that failed in a row
	next     time.Duration
	reported time.Duration
	skipping string // reasons that were logged for entries of the last read

	offline atomic.Bool
	offset  atomic.Int64 // the store's clock less ours, in ns
	skewed  atomic.Bool
	size    atomic.Int64
	problem atomic.Pointer[error]  // what the last read failed of
	writer  atomic.Pointer[string] // of the ring that the last read has shown
	asked
	strangers strangers
}

// content is the result of the last read.
type content struct {
	set      *Set // nil: no valid ring
	stale    bool // it must be sealed again
	missing  bool // there is certainly no ring
	outdated bool // the ring is older than one that this process knows
}

// known reports whether the last read has shown the content of the store.
func (c content) known() bool { return c.set != nil || c.gone() }

// gone reports whether the store has lost the ring.
func (c content) gone() bool { return c.missing || c.outdated }

// unsealed is the last unsealed ring, so that the same bytes are not unsealed again.
type unsealed struct {
	data  []byte
	set   *Set
	by    string
	stale bool
}

func newFollower(r *Ring, source Source, store Store, c config) *follower {
	f := &follower{config: c, ring: r, source: source, store: store, chance: newChance(c.off.Seed),
		turns: make(chan struct{}, 1), sighted: sightings{}}
	f.timeout = max(2*c.policy.Poll, 10*time.Second)
	if c.wrapper != nil { // every node has to be back well within Settle
		f.timeout = min(max(c.policy.Poll, time.Second), 10*time.Second)
	}
	f.want = make(chan struct{}, 1)
	f.maintainer.jitter = map[string]time.Duration{}
	first := make(chan struct{})
	f.turned.Store(&first)
	f.turns <- struct{}{}
	return f
}

// start reads for the first time.
func (f *follower) start(ctx context.Context) error {
	err := f.look(ctx)
	if err != nil && f.wrapper == nil {
		return err
	}
	if err != nil {
		f.restore()
	}
	f.report(err)
	f.schedule(err)
	return nil
}

// run reads whenever it is time to, until ctx ends. Every path leads back to the timer.
func (f *follower) run(ctx context.Context) {
	defer close(f.ring.done)
	nudges := f.source.Nudges(ctx)
	subscribe := false
	for {
		if !f.lock(ctx) {
			return
		}
		timer := time.NewTimer(f.wait())
		f.unlock()
		select {
		case <-timer.C:
			if subscribe {
				nudges, subscribe = f.source.Nudges(ctx), false
			}
		case <-f.want:
		case _, ok := <-nudges:
			if !ok { // polling goes on, and each poll tries to have nudges again
				nudges, subscribe = nil, true
				timer.Stop()
				continue
			}
			pause(ctx, 5*time.Millisecond+f.chance.below(min(20*time.Millisecond, f.policy.Poll)))
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		if f.lock(ctx) {
			f.turn(ctx)
			f.unlock()
		}
	}
}

func (f *follower) lock(ctx context.Context) bool {
	select {
	case <-f.turns:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *follower) unlock() { f.turns <- struct{}{} }

// turn is one read and the work after it.
func (f *follower) turn(ctx context.Context) {
	err := f.look(ctx)
	if ctx.Err() != nil {
		return
	}
	f.schedule(err)
	f.report(err)
	if f.store != nil {
		f.maintain(ctx)
	}
	f.answer()
}

// schedule sets the time of the next read. For a sealed ring it is soon after a failure, and later
// after each further one.
func (f *follower) schedule(err error) {
	every := f.policy.Poll
	switch {
	case err == nil:
		f.fails = 0
	case f.wrapper != nil:
		every = min(every, 250*time.Millisecond<<min(f.fails, 16))
		f.fails++
	}
	f.next = f.ring.since() + f.chance.around(every)
}

// wait returns the time until the next work.
func (f *follower) wait() time.Duration {
	now := f.ring.since()
	next := f.next
	if f.ring.view.Load() != nil && f.gated() {
		next = min(next, f.sighted.due(f.ring.Set(), f.ring, f.policy.Settle))
	}
	if f.store != nil {
		next = min(next, f.maintainAt(now))
	}
	return max(next-now, 5*time.Millisecond)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// report logs a failure, at most once per poll.
func (f *follower) report(err error) {
	if err == nil {
		f.problem.Store(nil)
		f.reported = 0
		return
	}
	f.problem.Store(&err)
	f.ring.n.failures.Add(1)
	if now := f.ring.since(); f.reported == 0 || now-f.reported >= f.policy.Poll*4/5 {
		f.reported = now
		f.logger.Warn("waybill: cannot refresh the key ring, keeping the last good one", "error", err, "ring", f.ring.Set().String())
	}
}

// reportSkipped counts the entries of a foreign JWK Set that cannot be used, and logs them once.
func (f *follower) reportSkipped(skipped []error) {
	f.ring.n.skipped.Store(int64(len(skipped)))
	reason := ""
	if len(skipped) > 0 {
		reason = first(skipped).Error()
	}
	if reason != "" && reason != f.skipping {
		f.logger.Warn("waybill: skipped entries of the JWK Set that cannot be used", "entries", len(skipped), "error", reason)
	}
	f.skipping = reason
}

func (f *follower) gated() bool { return f.wrapper != nil && !f.off.Gate }

// look reads the source once and accepts its ring.
func (f *follower) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	f.had = content{}
	asked := f.ring.since() // later changes of the source may be missing in its answer
	before := f.now()
	blob, err := f.source.Load(ctx)
	f.measure(blob.At, before, f.now())
	missing := errors.Is(err, ErrNotFound)
	f.offline.Store(err != nil && !missing)
	if err == nil || missing {
		f.ring.contact.Store(int64(f.ring.since()))
	}
	if err != nil {
		clear(f.sighted)
		if missing {
			f.had.missing, f.rev, f.last = true, 0, nil
		}
		return err
	}
	f.rev = blob.Revision
	f.size.Store(int64(len(blob.Data)))
	if err := f.take(blob.Data); err != nil {
		clear(f.sighted)
		old, ok := errors.AsType[interface {
			error
			Outdated() bool
		}](err)
		f.had.outdated = ok && old.Outdated()
		return err
	}
	f.ring.confirmed.Store(int64(max(1, asked))) // 0 is never
	return nil
}

// measure compares the store's clock with ours. What the answer took may have passed before or
// after the store looked.
func (f *follower) measure(at, before, after time.Time) {
	if at.IsZero() {
		return
	}
	trip := after.Sub(before)
	offset := at.Sub(before.Add(trip / 2))
	f.offset.Store(int64(offset))
	f.skewed.Store(offset.Abs()-trip.Abs()/2 > f.policy.MaxSkew)
}

// take replaces the ring's keys by those of the source, or adds them.
func (f *follower) take(data []byte) error {
	own := f.ring.Set()
	if f.last != nil && bytes.Equal(data, f.last) && f.wrapper == nil {
		f.had.set = own
		return nil
	}
	got, ignored, err := f.read(data)
	if err != nil {
		return err
	}
	next := got.adopt(own)
	if f.wrapper != nil && !f.off.Union {
		if next, err = f.prune(own).Union(f.prune(got)); err != nil {
			return err
		}
	}
	f.sighted.see(got, f.ring.since(), f.ring.window)
	if err := f.install(next); err != nil {
		return err
	}
	f.had.set, f.last = got, data
	if f.wrapper != nil {
		by := f.seen.by // a copy, which no later read changes
		f.had.stale = f.seen.stale
		f.writer.Store(&by)
	}
	f.ring.n.ignored.Store(int64(ignored))
	f.reportSkipped(got.skipped)
	f.remember(data)
	return nil
}

// prune removes expired keys and marks, by this node's clock and, while the clocks disagree, by the
// store's clock as well.
func (f *follower) prune(s *Set) *Set {
	if s == nil {
		return nil
	}
	now := f.now()
	if f.skewed.Load() {
		now = now.Add(min(0, time.Duration(f.offset.Load())))
	}
	return s.Prune(now, f.policy.margin())
}

func (f *follower) install(next *Set) error {
	changed, err := f.ring.install(next, f.sighted.settled(f.ring.since(), f.policy.Settle), f.gated())
	if changed && err == nil {
		if f.ring.n.installed.Swap(true) {
			f.ring.n.swaps.Add(1)
			f.logger.Info("waybill: refreshed the key ring", "ring", next.String())
		}
	}
	return err
}

// read parses the content of the source. Nothing is accepted unless everything is valid.
func (f *follower) read(data []byte) (*Set, int, error) {
	if f.wrapper == nil {
		set, err := f.parse(data)
		return set, 0, err
	}
	if f.seen.set != nil && bytes.Equal(data, f.seen.data) {
		return f.screen(f.seen.set)
	}
	u, err := f.wrapper.Unwrap(f.domain, data)
	if err != nil {
		return nil, 0, fmt.Errorf("keyring: cannot unseal the ring: %w", err)
	}
	set, err := ParseSet(u.Plain)
	switch {
	case err != nil:
		return nil, 0, err
	case set.domain != f.domain:
		return nil, 0, fmt.Errorf("%w: %s, not %s", ErrDomain, set.domain, f.domain)
	case u.Generation != 0 && u.Generation != set.generation:
		return nil, 0, fmt.Errorf("keyring: the seal states generation %d, the ring in it %d", u.Generation, set.generation)
	case u.Epoch != 0:
		set = set.WithEpoch(u.Epoch)
	}
	f.seen = unsealed{data, set, u.By, u.Stale}
	return f.screen(set)
}

func (f *follower) screen(set *Set) (*Set, int, error) {
	if f.off.Guard {
		return set, 0, nil
	}
	return f.policy.screen(set, f.ring.Set(), f.now(), !f.skewed.Load())
}
