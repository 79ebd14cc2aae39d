package broker

import (
	"sync"
	"time"
)

// valve can be shut for a while. The zero value is open.
type valve struct {
	mu    sync.Mutex
	until time.Time
}

func (v *valve) pause(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.until = time.Now().Add(d)
}

func (v *valve) left() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Until(v.until)
}

func (v *valve) paused() bool { return v.left() > 0 }

// wait returns as soon as the valve is open.
func (v *valve) wait() {
	for d := v.left(); d > 0; d = v.left() {
		time.Sleep(d)
	}
}
