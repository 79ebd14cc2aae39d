package waybilljetstream

import (
	"math"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		delivered uint64
		want      time.Duration
	}{
		{0, time.Second}, {1, time.Second}, {2, 2 * time.Second}, {3, 4 * time.Second}, {6, 32 * time.Second},
		{7, time.Minute}, {8, time.Minute}, {math.MaxUint64, time.Minute},
	} {
		if got := backoff(c.delivered); got != c.want {
			t.Errorf("backoff(%d) = %v, want %v", c.delivered, got, c.want)
		}
	}
}
