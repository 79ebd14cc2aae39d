package bench

import (
	"os"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
)

// TestRatio compares within one run: machines differ, and the rounds interleave so that a busy one slows all alike. It
// runs when WAYBILL_RATIOS is set, because under the race detector or beside other tests its figures mean nothing.
func TestRatio(t *testing.T) {
	if os.Getenv("WAYBILL_RATIOS") == "" {
		t.Skip("SKIPPED: set WAYBILL_RATIOS=1 to compare speeds")
	}
	for _, c := range []struct {
		p     waybill.Protection
		other string
		limit float64 // of waybill's time over the other's
	}{
		{waybill.Signed, "golang-jwt", 1 / 5.0},
		{waybill.Sealed, "go-jose", 1 / 5.0},
		{waybill.Public, "bare", 1.1},
	} {
		t.Run(c.p.String()+" beside "+c.other, func(t *testing.T) {
			best := map[string]time.Duration{}
			all := subjects(t, c.p, 256)
			ratio := 0.0
			// The best times of both only come closer to what is true. On a busy machine that takes more rounds.
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
				t.Errorf("got ratio %.3f, want %.3f at most", ratio, c.limit)
			}
		})
	}
}

// once returns the time of one operation, over about a millisecond of them: on a busy machine short rounds find a quiet moment.
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
