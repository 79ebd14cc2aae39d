//go:build unix && !race

package hop

import "testing"

// TestHopAllocations bounds the allocations of our code on both sides of a call, beyond those of
// the bare call. Unlike time they do not depend on the machine. The slack is for the broker and the
// runtime, which allocate at any time.
func TestHopAllocations(t *testing.T) {
	const slack = 10
	limits := map[string][]float64{ // idle, carried, updated
		"http1":     {4, 29, 55},
		"grpc":      {4, 42, 75}, // waybill-hop costs 5: gRPC's server decodes it, and we copy the metadata
		"nats":      {9, 28, 54},
		"jetstream": {4, 27},
	}
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			none := allocations(t, tr.start(t, bare))
			for i, l := range tr.loads[1:] {
				more := allocations(t, tr.start(t, l)) - none
				t.Logf("%s %s: %.1f allocations more than %.1f", tr.name, l, more, none)
				if limit := limits[tr.name][i]; more > limit+slack {
					t.Errorf("%s: %.1f additional allocations, want %.0f, and at most %d above that", l, more, limit, slack)
				}
			}
		})
	}
}

// allocations returns the lowest count of several rounds.
func allocations(t *testing.T, call func()) float64 {
	least := measure(t, call).allocs
	for range 4 {
		least = min(least, measure(t, call).allocs)
	}
	return least
}
