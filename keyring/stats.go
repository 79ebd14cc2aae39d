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
	won, lost        atomic.Uint64
	unclear          atomic.Uint64
	casErrors        atomic.Uint64
	repairs          atomic.Uint64
	unknownFetched   atomic.Uint64
	unknownSkipped   atomic.Uint64
	unknownThrottled atomic.Uint64
	revokedUsed      atomic.Uint64
}

// Stats is a view of a ring for metrics and health checks.
type Stats struct {
	Generation uint64        // of the current set; 0 if none was loaded
	Epoch      uint64        // of the current set; generations are counted anew in each
	By         string        // who wrote the ring that the source has, if the wrapper can tell
	Keys       int           // in the current set
	Pending    int           // of these, whose time to issue has not come
	Age        time.Duration // since the source last confirmed the set, or since the ring was opened; 0 without a source
	Swaps      uint64        // sets taken since the start
	Failures   uint64        // reads of the source that changed nothing because they failed

	ContactAge  time.Duration // since the source last answered at all, or since the ring was opened; 0 without a source
	ClockOffset time.Duration // the store's clock less this node's; 0 if the store shows none
	ActiveAge   time.Duration // since the time to issue of the newest active key came, of the algorithm that is latest with it
	Unsettled   int           // keys whose time has come but that this node does not prefer yet
	Ignored     int           // keys that the last read has shown and that are outside of the policy
	Size        int           // of the ring in the source, in bytes

	CASWon     uint64 // changes of the store that came through
	CASLost    uint64 // that another node forestalled
	CASUnknown uint64 // of which the outcome was unknown at first
	CASErrors  uint64 // that could not be made
	Repairs    uint64 // how often keys were put back that the store had lost

	UnknownFetched   uint64 // reads for a key that the ring did not have
	UnknownSkipped   uint64 // unknown keys that led to no read: no possible name, out of touch, or confirmed just before
	UnknownThrottled uint64 // unknown keys that led to no read because of too many others
	RevokedUsed      uint64 // tokens under a revoked key
}

// Stats returns the ring's figures.
func (r *Ring) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	n := &r.n
	s := Stats{
		Swaps: n.swaps.Load(), Failures: n.failures.Load(), Ignored: int(n.ignored.Load()),
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

// ErrUnconfirmed is what [Ring.Ready] returns for a ring that the source has not confirmed for too long. All of its keys
// still work.
var ErrUnconfirmed = errors.New("keyring: the source has not confirmed the ring")

var errNotLoaded = errors.New("keyring: the keys are not loaded")

// Ready reports why the ring cannot serve: its keys are not loaded, none is active for an algorithm that it issues with, the
// source has not confirmed it for longer than Policy.Delay, so that others may issue with a key that it lacks, or the clock
// is wrong. It is for readiness checks and does no I/O.
//
// Of these [ErrUnconfirmed] alone is about what others may do. A node that is cut off by itself should take no requests
// then: it refuses every token under the next key. If the store is down for all there is no next key, and no node to send
// the requests to; one process cannot tell the two apart. Where the second is likelier, let the readiness check pass with
// this error, which it can tell by errors.Is, and leave the alarm to the metrics.
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
		return fmt.Errorf("keyring: the ring has no keys, and %d that are outside of the policy", r.n.ignored.Load())
	}
	held := map[Protection]bool{}
	for _, k := range set.keys {
		if k.CanIssue() && !held[k.protection] {
			held[k.protection] = true
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
