package driver

import (
	"sync"
	"time"
)

// outage adds up the time in which a lane answered nobody: from the first request that failed to the next that did not.
// A single server that is down makes none, as long as the balancer finds another one.
type outage struct {
	mu    sync.Mutex
	since time.Time // zero while the lane answers
	last  time.Time // when it answered last
	total time.Duration
}

// failed notes that a request failed that began then. It does not count if another one was answered in the meantime.
func (o *outage) failed(began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() && began.After(o.last) {
		o.since = began
	}
}

func (o *outage) answered(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.total += at.Sub(o.since)
		o.since = time.Time{}
	}
	o.last = at
}

func (o *outage) sum() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		return o.total + time.Since(o.since)
	}
	return o.total
}
