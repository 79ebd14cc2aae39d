package keyring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Ring contains the current [Set] of a trust domain and replaces it as a whole. It is safe for
// concurrent use and must not be copied. The zero Ring has no source and no keys: it opens and
// issues nothing until [Ring.Swap]. A nil Ring behaves like a zero Ring that cannot be changed.
type Ring struct {
	view   atomic.Pointer[view]
	margin time.Duration // by which a key must outlive a token that it issues; 0 where ended keys stay in the ring

	swap    sync.Mutex // serialises writers
	settled map[string]bool

	born      time.Time    // monotonic zero of the times below; not used without a source
	confirmed atomic.Int64 // when the source last confirmed the set, in ns since born; 0: never
	contact   atomic.Int64 // when the source last answered at all; 0: never
	window    time.Duration
	n         counters

	follower *follower // nil: there is no source
	stop     context.CancelFunc
	done     chan struct{}
}

// view is what readers see: a set, and which of its keys this process may prefer for issuing.
type view struct {
	set     *Set
	settled []bool // as set.keys; nil: all are
}

// NewRing returns a ring without a source: its keys are set until [Ring.Swap] replaces them. With a
// nil set its keys are not loaded, and it opens and issues nothing.
func NewRing(set *Set) *Ring {
	r := new(Ring)
	if set != nil {
		r.view.Store(&view{set: set})
	}
	return r
}

// since returns the time by the ring's monotonic clock. It is never 0.
func (r *Ring) since() time.Duration { return time.Since(r.born) + 1 }

// ErrDomain is returned for a set, a ring or a roster of another trust domain.
var ErrDomain = errors.New("keyring: wrong trust domain")

// Swap replaces the set. The new set must be of the same domain. Calls in progress finish with the
// old set.
func (r *Ring) Swap(set *Set) error {
	switch {
	case r == nil:
		return errors.New("keyring: the ring is nil")
	case set == nil:
		return errors.New("keyring: a ring cannot be emptied: the set is nil")
	}
	if _, err := r.install(set, nil, false); err != nil {
		return err
	}
	r.n.swaps.Add(1)
	return nil
}

// install replaces the view, and reports whether the set has changed. A settled key stays settled.
func (r *Ring) install(set *Set, settled []string, gated bool) (bool, error) {
	r.swap.Lock()
	defer r.swap.Unlock()
	old := r.view.Load()
	domain := set.domain
	if r.follower != nil && r.follower.domain != "" {
		domain = r.follower.domain
	} else if old != nil {
		domain = old.set.domain
	}
	if set.domain != domain {
		return false, fmt.Errorf("%w: %s, not %s", ErrDomain, set.domain, domain)
	}
	next := &view{set: set}
	if gated {
		if r.settled == nil {
			r.settled = map[string]bool{}
		}
		for _, kid := range settled {
			r.settled[kid] = true
		}
		maps.DeleteFunc(r.settled, func(kid string, _ bool) bool { return set.byID[kid] == nil })
		next.settled = make([]bool, len(set.keys))
		for i, k := range set.keys {
			next.settled[i] = r.settled[k.kid]
		}
	}
	changed := old == nil || old.set != set
	if changed || !slices.Equal(old.settled, next.settled) {
		r.view.Store(next)
	}
	return changed, nil
}

// Set returns the current set, or nil if none was loaded.
func (r *Ring) Set() *Set {
	if v := r.current(); v != nil {
		return v.set
	}
	return nil
}

// current is the view of readers, or nil if no keys are loaded.
func (r *Ring) current() *view {
	if r == nil {
		return nil
	}
	return r.view.Load()
}

// Active returns the key that issues, at now, a token that expires at until, or nil if there is
// none. It is the key with the latest NotBefore that has passed and that does not expire before the
// token.
//
// In a sealed ring the key must outlive the token by twice Policy.MaxSkew, because nodes whose
// clock is ahead drop it earlier, and it must have settled: for Policy.Settle this process was in
// touch with the store and both had the key, so that every other node could fetch it. If no such
// key has settled, Active returns the one with the earliest NotBefore. If there is no such key, it
// returns the pending key with the earliest NotBefore: other nodes open tokens of a key before its
// NotBefore, so a proposer's fast clock, or keys that are all gone, do not stop the issuing.
//
// Active does one atomic load, takes no lock and does not allocate.
func (r *Ring) Active(protection Protection, now, until time.Time) *Key {
	v := r.current()
	if v == nil {
		return nil
	}
	until = until.Add(r.margin)
	var oldest, pending *Key
	for i, k := range v.set.keys { // newest NotBefore first
		switch {
		case k.protection != protection || !k.CanIssue() || k.Gone(until):
		case k.times.NotBefore.After(now):
			pending = k
		case v.settled == nil || v.settled[i]:
			return k
		default:
			oldest = k
		}
	}
	if oldest == nil && r.rotates() {
		return pending
	}
	return oldest
}

// rotates reports whether the keys are made by a [Policy], ahead of their time.
func (r *Ring) rotates() bool { return r.follower != nil && r.follower.wrapper != nil }

// Fresh reports whether the source confirmed the set within the last three polling intervals. A
// ring without a source is fresh once it has a set. See [Ring.Excludes] for unknown kids.
func (r *Ring) Fresh() bool {
	if r == nil || r.follower == nil {
		return r.current() != nil
	}
	at := time.Duration(r.confirmed.Load())
	return at != 0 && r.since()-at < r.window
}

// ConfirmedSince reports whether the source confirmed the set after t, so that the ring has every
// key that was in use at t. For a ring without a source it returns true.
func (r *Ring) ConfirmedSince(t time.Time) bool {
	if r == nil || r.follower == nil {
		return true
	}
	at := time.Duration(r.confirmed.Load())
	return at != 0 && time.Now().Add(at-r.since()).After(t)
}

// Close stops reading the source and waits until that has stopped. The keys stay usable.
func (r *Ring) Close() error {
	if r == nil || r.follower == nil {
		return nil
	}
	r.stop()
	<-r.done
	return nil
}
