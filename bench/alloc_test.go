//go:build !race

package bench

import (
	"testing"

	"github.com/waybill-go/waybill"
)

// The race detector makes pools drop objects, so allocations are not counted under it.
func TestAllocations(t *testing.T) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		us := subjects(t, p, 256)[0]
		// One allocation is the value of the claim that is read.
		if got := testing.AllocsPerRun(100, func() {
			if err := us.open(); err != nil {
				t.Fatal(err)
			}
		}); got > 3 {
			t.Errorf("%s: got %v allocations to open, want at most 3", p, got)
		}
	}
}
