package driver

import (
	"sync"
	"time"
)

// short is the longest time without an answer that is no outage: a busy machine makes one wait,
// too.
const short = 500 * time.Millisecond

// outage adds up the time in which a lane answered no request although there were some. A single
// server that is down makes none, as long as the balancer finds another one.
type outage struct {
	mu      sync.Mutex
	waiting int       // requests
	quiet   time.Time // since when, while a request waits
	total   time.Duration
}

func (o *outage) asked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == 0 {
		o.quiet = time.Now()
	}
	o.waiting++
}

// over notes that a request was answered, or given up.
func (o *outage) over(answered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if answered {
		o.total += o.gap()
		o.quiet = time.Now()
	}
	o.waiting--
}

// gap is the outage at the moment, if there is one. The caller holds the lock.
func (o *outage) gap() time.Duration {
	if d := time.Since(o.quiet); o.waiting > 0 && d >= short {
		return d
	}
	return 0
}

func (o *outage) sum() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total + o.gap()
}
