package keyring

import (
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of reads for unknown keys.
const (
	askEvery   = time.Second // on average
	askBurst   = 3
	askWait    = 250 * time.Millisecond
	askWaiters = 256
)

// asked is what unknown keys have led to.
type asked struct {
	want    chan struct{} // asks for a read
	flight  atomic.Bool   // one was asked for and is not done
	asking  sync.Mutex    // held to set flight
	tokens  atomic.Int64  // until when the budget is used up, by the ring's own clock
	waiters atomic.Int64
	turned  atomic.Pointer[chan struct{}] // closed when the turn under way is done
}

// Unknown tells the ring that a token came under a key that it does not have, and reports whether it has it now. Usually it
// returns at once, in well under a microsecond and without allocating, and the store is read in the background: at most
// once a second, three times in a burst, and not at all for names that no key can have, while the store is out of reach
// or if it confirmed the ring within the last second. With [WaitUnknown] it waits for that read, at most 250 ms.
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
		return r.Set().Lookup(kid) != nil // a read may just have brought it
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

// ask has the store read, unless another caller did so meanwhile.
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

// await waits until a read has brought the key.
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

// answer tells who waits that a read is done. A wish that came during the read is for the next one.
func (f *follower) answer() {
	if len(f.want) == 0 {
		f.flight.Store(false)
	}
	next := make(chan struct{})
	close(*f.turned.Swap(&next))
}

// kidForm reports whether a name is one that keys of ours can have: 8 bytes in base64url. The last character holds four
// bits.
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
