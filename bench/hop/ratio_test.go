//go:build unix

package hop

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// rounds is how often each load is measured. The best round counts, because the best times only get
// closer to the true ones.
const rounds = 60

// TestHopRatio compares the CPU time of calls within one run, with interleaved rounds. It runs only
// if WAYBILL_RATIOS is set, because its figures mean little in parallel with other tests. The limit
// is wide: the test finds a change in the order of magnitude.
func TestHopRatio(t *testing.T) {
	if os.Getenv("WAYBILL_RATIOS") == "" {
		t.Skip("SKIPPED: set WAYBILL_RATIOS=1 to compare speeds")
	}
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			calls := make([]func(), len(tr.loads))
			best := make([]cost, len(tr.loads))
			for i, l := range tr.loads {
				calls[i] = tr.start(t, l)
			}
			for range rounds {
				for i, call := range calls {
					if c := measure(t, call); best[i].cpu == 0 || c.cpu < best[i].cpu {
						best[i] = c
					}
				}
			}
			for i, l := range tr.loads {
				ratio := float64(best[i].cpu) / float64(best[0].cpu)
				t.Logf("%-9s %-8s %6.1f µs CPU  %5.0f allocations  ratio %.2f", tr.name, l,
					float64(best[i].cpu)/float64(time.Microsecond), best[i].allocs, ratio)
				if ratio > 3 {
					t.Errorf("%s: ratio %.2f, want at most 3", l, ratio)
				}
			}
		})
	}
}

// cost is the cost of one call.
type cost struct {
	cpu    time.Duration
	allocs float64
}

// measure runs one short round. Short rounds are more likely to find a quiet moment.
func measure(t *testing.T, call func()) cost {
	const n = 100
	var before, after runtime.MemStats
	call()
	runtime.ReadMemStats(&before)
	from := cpu(t)
	for range n {
		call()
	}
	spent := cpu(t) - from
	runtime.ReadMemStats(&after)
	return cost{spent / n, float64(after.Mallocs-before.Mallocs) / n}
}
