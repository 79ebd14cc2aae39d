package waybillhttp

import (
	"sync/atomic"
	"time"
)

// rarely bounds how often something is logged: once a minute.
type rarely struct{ last atomic.Int64 }

// due reports whether it is time to log again, and remembers that.
func (r *rarely) due(now time.Time) bool {
	last := r.last.Load()
	return (last == 0 || now.Unix()-last >= 60) && r.last.CompareAndSwap(last, now.Unix())
}
