package waybilljetstream

import (
	"sync/atomic"
	"time"
)

// logEvery is how often a log line about the same state is written at most.
const logEvery = time.Minute

// limiter limits how often something is logged.
type limiter struct {
	last atomic.Int64 // in nanoseconds; 0: never
}

func (l *limiter) allows(now time.Time) bool {
	last := l.last.Load()
	return (last == 0 || now.UnixNano()-last >= int64(logEvery)) && l.last.CompareAndSwap(last, now.UnixNano())
}
