package bench

import (
	"os"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
)

// TestRatio compares times within one run, because machines differ. The rounds interleave, so that
// a busy machine slows all subjects equally. It runs only if WAYBILL_RATIOS is set, because its
// figures mean nothing under the race detector or in parallel with other tests.
func TestRatio(t *testing.T) {
	if os.Getenv("WAYBILL_RATIOS") == "" {
		t.Skip("SKIPPED: set WAYBILL_RATIOS=1 to compare speeds")
	}
	for _, c := range []struct {
		p     waybill.Protection
		other string
		limit float64 // for waybill's time divided by the other's
	}{
		{waybill.Signed, "golang-jwt", 1 / 5.0},
		{waybill.Sealed, "go-jose", 1 / 5.0},
		{waybill.Public, "bare", 1.1},
	} {
		t.Run(c.p.String()+" against "+c.other, func(t *testing.T) {
			best := map[string]time.Duration{}
			all := subjects(t, c.p, 256)
			ratio := 0.0
			// The best times only get closer to the true ones. On a busy machine that needs more
			// rounds.
			for round := 1; round <= 200 || round <= 2000 && ratio > c.limit; round++ {
				for _, s := range all {
					if s.name != "waybill" && s.name != c.other {
						continue
					}
					if d := once(t, s.open); best[s.name] == 0 || d < best[s.name] {
						best[s.name] = d
					}
				}
				ratio = float64(best["waybill"]) / float64(best[c.other])
			}
			t.Logf("open at 256 B: waybill %v, %s %v: ratio %.3f, limit %.3f", best["waybill"], c.other, best[c.other], ratio, c.limit)
			if ratio > c.limit {
				t.Errorf("got ratio %.3f, want at most %.3f", ratio, c.limit)
			}
		})
	}
}

// once returns the time of one operation, measured over about a millisecond. On a busy machine,
// short rounds are more likely to find a quiet moment.
func once(t *testing.T, f func() error) time.Duration {
	t.Helper()
	start, n := time.Now(), 0
	for time.Since(start) < time.Millisecond {
		for range 10 {
			if err := f(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return time.Since(start) / time.Duration(n)
}
