//go:build !race

package bench

import (
	"testing"

	"github.com/waybill-go/waybill"
)

// Under the race detector pools drop what they are given, so there is nothing to count.
func TestAllocations(t *testing.T) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		us := subjects(t, p, 256)[0]
		// One of them is the value of the claim that is looked at.
		if got := testing.AllocsPerRun(100, func() {
			if err := us.open(); err != nil {
				t.Fatal(err)
			}
		}); got > 3 {
			t.Errorf("%s: got %v allocations to open, want 3 at most", p, got)
		}
	}
}
