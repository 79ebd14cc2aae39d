package keyring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

type counters struct {
	swaps, failures  atomic.Uint64
	installed        atomic.Bool
	ignored          atomic.Int64
	skipped          atomic.Int64
	won, lost        atomic.Uint64
	unclear          atomic.Uint64
	casErrors        atomic.Uint64
	repairs          atomic.Uint64
	unknownFetched   atomic.Uint64
	unknownSkipped   atomic.Uint64
	unknownThrottled atomic.Uint64
	revokedUsed      atomic.Uint64
}

// Stats are figures of a ring for metrics and health checks.
type Stats struct {
	Generation uint64        // of the current set; 0 if none was loaded
	Epoch      uint64        // of the current set; generations begin at 1 again in each epoch
	By         string        // name of the member that wrote the ring in the source, if the wrapper can tell
	Keys       int           // in the current set
	Pending    int           // keys in the current set whose NotBefore has not come
	Age        time.Duration // since the source last confirmed the set, or since the ring was opened; 0 without a source
	Swaps      uint64        // sets installed since the start
	Failures   uint64        // reads of the source that failed, and so changed nothing

	ContactAge  time.Duration // since the source last answered at all, or since the ring was opened; 0 without a source
	ClockOffset time.Duration // the store's clock minus this node's; 0 if the store has no clock
	ActiveAge   time.Duration // since the NotBefore of the active key; of several protections the longest
	Unsettled   int           // keys whose NotBefore has passed and that this node does not prefer yet
	Ignored     int           // keys in the last read that are outside of the policy
	Skipped     int           // entries of a foreign JWK Set, in the last read, that cannot be used
	Size        int           // of the ring in the source, in bytes

	CASWon     uint64 // changes of the store that succeeded
	CASLost    uint64 // changes that lost to a concurrent change
	CASUnknown uint64 // changes whose outcome was unknown at first
	CASErrors  uint64 // changes that could not be made
	Repairs    uint64 // how often this node put back keys that the store had lost

	UnknownFetched   uint64 // reads caused by an unknown kid
	UnknownSkipped   uint64 // unknown kids that caused no read: not a possible kid, store unreachable, or ring confirmed within the last second
	UnknownThrottled uint64 // unknown kids that caused no read because there were too many
	RevokedUsed      uint64 // tokens with the kid of a revoked key
}

// Stats returns the ring's figures.
func (r *Ring) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	n := &r.n
	s := Stats{
		Swaps: n.swaps.Load(), Failures: n.failures.Load(), Ignored: int(n.ignored.Load()), Skipped: int(n.skipped.Load()),
		CASWon: n.won.Load(), CASLost: n.lost.Load(), CASUnknown: n.unclear.Load(), CASErrors: n.casErrors.Load(),
		Repairs: n.repairs.Load(), UnknownFetched: n.unknownFetched.Load(), UnknownSkipped: n.unknownSkipped.Load(),
		UnknownThrottled: n.unknownThrottled.Load(), RevokedUsed: n.revokedUsed.Load(),
	}
	now := time.Now()
	if f := r.follower; f != nil {
		since := r.since()
		s.Age = since - time.Duration(r.confirmed.Load())
		s.ContactAge = since - time.Duration(r.contact.Load())
		s.ClockOffset = time.Duration(f.offset.Load())
		s.Size = int(f.size.Load())
		if by := f.writer.Load(); by != nil {
			s.By = *by
		}
		now = f.now()
	}
	v := r.view.Load()
	if v == nil {
		return s
	}
	s.Generation, s.Epoch, s.Keys = v.set.generation, v.set.epoch, len(v.set.keys)
	newer := map[Protection]bool{} // a settled key of it was found
	seen := map[Protection]bool{}
	for i, k := range v.set.keys {
		switch {
		case k.times.NotBefore.After(now):
			s.Pending++
		case !k.issues(now, now):
		default:
			if !seen[k.protection] && !k.foreign {
				s.ActiveAge = max(s.ActiveAge, now.Sub(k.times.NotBefore))
			}
			seen[k.protection] = true
			if v.settled == nil || v.settled[i] {
				newer[k.protection] = true
			} else if !newer[k.protection] {
				s.Unsettled++
			}
		}
	}
	return s
}

// ErrUnconfirmed is returned by [Ring.Ready] if the source has not confirmed the ring for longer
// than Policy.Delay. All of its keys still work.
var ErrUnconfirmed = errors.New("keyring: the source has not confirmed the ring")

var errNotLoaded = errors.New("keyring: the keys are not loaded")

// Ready returns an error if the ring cannot serve: its keys are not loaded, a protection that it
// can issue has no active key, the source has not confirmed it for longer than Policy.Delay
// ([ErrUnconfirmed]), or the clock is wrong ([ErrClock]). It is for readiness checks and does no
// I/O.
//
// With ErrUnconfirmed, other nodes may issue with a key that this ring lacks. If only this node is
// cut off, it should take no requests, because it would reject every token of the next key. If the
// store is down for all nodes, there is no next key, and no node to send the requests to. A process
// cannot distinguish the two cases. If the second is more likely, let the readiness check pass on
// errors.Is(err, ErrUnconfirmed) and rely on an alarm from the metrics.
func (r *Ring) Ready() error {
	set := r.Set()
	if r == nil {
		return errNotLoaded
	}
	f := r.follower
	if set == nil {
		if f != nil {
			if err := f.problem.Load(); err != nil {
				return fmt.Errorf("%w: %w", errNotLoaded, *err)
			}
		}
		return errNotLoaded
	}
	now := time.Now()
	if f != nil {
		now = f.now()
		if f.skewed.Load() {
			return fmt.Errorf("%w by %v", ErrClock, time.Duration(f.offset.Load()).Round(time.Millisecond))
		}
	}
	if len(set.keys) == 0 {
		return fmt.Errorf("keyring: the ring has no keys that the policy accepts; it ignores %d", r.n.ignored.Load())
	}
	seen := map[Protection]bool{}
	for _, k := range set.keys {
		if k.CanIssue() && !seen[k.protection] {
			seen[k.protection] = true
			if r.Active(k.protection, now, now) == nil {
				return fmt.Errorf("keyring: no %s key is active", k.protection)
			}
		}
	}
	if f == nil {
		return nil
	}
	if age := r.since() - time.Duration(r.confirmed.Load()); age > f.policy.Delay {
		err := fmt.Errorf("%w for %v", ErrUnconfirmed, age.Round(time.Second))
		if last := f.problem.Load(); last != nil {
			err = fmt.Errorf("%w: %w", err, *last)
		}
		return err
	}
	return nil
}
