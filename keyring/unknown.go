package keyring

import (
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of reads for unknown kids.
const (
	askEvery   = time.Second // on average
	askBurst   = 3
	askWait    = 250 * time.Millisecond
	askWaiters = 256
)

// asked is the state of reads for unknown kids.
type asked struct {
	want    chan struct{} // requests a read
	flight  atomic.Bool   // a read was requested and is not done
	asking  sync.Mutex    // guards the setting of flight
	tokens  atomic.Int64  // until when the budget is used up, by the ring's clock
	waiters atomic.Int64
	turned  atomic.Pointer[chan struct{}] // closed when the current turn is done
}

// Unknown tells the ring that a token has a kid that the ring does not have, and reports whether
// the ring has it now. It returns at once, in well under a microsecond and without allocating, and
// the source is read in the background: at most once a second, with bursts of three, and not at all
// if no key can have the kid, if the source is unreachable, or if it confirmed the ring within the
// last second. With [WaitUnknown] it waits for that read for at most 250 ms.
func (r *Ring) Unknown(kid []byte) bool {
	if r == nil {
		return false
	}
	f := r.follower
	set := r.Set()
	if set.Revoked(kid) {
		r.n.revokedUsed.Add(1)
		return false
	}
	if f == nil {
		return false
	}
	now := r.since()
	if f.wrapper != nil && !kidForm(kid) || f.offline.Load() || f.justConfirmed(now) {
		r.n.unknownSkipped.Add(1)
		return r.Set().Lookup(kid) != nil // a read may just have added it
	}
	if !f.flight.Load() {
		if f.spent(now) {
			r.n.unknownThrottled.Add(1)
			return false
		}
		f.ask(now)
	}
	return f.waits && f.await(kid)
}

func (f *follower) justConfirmed(now time.Duration) bool {
	at := time.Duration(f.ring.confirmed.Load())
	return at != 0 && now-at < askEvery
}

// spent reports whether the budget allows no read now.
func (f *follower) spent(now time.Duration) bool {
	return time.Duration(f.tokens.Load())-now > (askBurst-1)*askEvery
}

// ask requests a read, unless another caller did so meanwhile.
func (f *follower) ask(now time.Duration) {
	f.asking.Lock()
	defer f.asking.Unlock()
	if f.flight.Load() || f.justConfirmed(now) || f.spent(now) {
		return
	}
	f.tokens.Store(max(f.tokens.Load(), int64(now)) + int64(askEvery))
	f.flight.Store(true)
	f.ring.n.unknownFetched.Add(1)
	f.wake()
}

// await waits until a read has added the key.
func (f *follower) await(kid []byte) bool {
	if f.waiters.Add(1) > askWaiters {
		f.waiters.Add(-1)
		return false
	}
	defer f.waiters.Add(-1)
	timer := time.NewTimer(askWait)
	defer timer.Stop()
	for {
		turned := *f.turned.Load()
		if f.ring.Set().Lookup(kid) != nil {
			return true
		}
		if !f.flight.Load() {
			return f.ring.Set().Lookup(kid) != nil
		}
		select {
		case <-turned:
		case <-timer.C:
			return f.ring.Set().Lookup(kid) != nil
		case <-f.ring.done:
			return false
		}
	}
}

// answer tells waiting callers that a read is done. A request that came during the read is for the
// next one.
func (f *follower) answer() {
	if len(f.want) == 0 {
		f.flight.Store(false)
	}
	next := make(chan struct{})
	close(*f.turned.Swap(&next))
}

// kidForm reports whether a key of this package can have the kid: 11 characters of base64url, which
// are 8 bytes.
func kidForm(kid []byte) bool {
	if len(kid) != 11 {
		return false
	}
	for _, c := range kid {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
