//go:build !race

package waybill_test

import (
	"context"
	"strings"
	"testing"
)

// TestAllocations bounds the allocations of typical operations. It does not run under the race
// detector, which empties pools at random.
func TestAllocations(t *testing.T) {
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		token := issue(t, auth, Cell.To(strings.Repeat("x", 150)), Seats.To(3)).Token()
		ctx, _ := receive(t, auth, token)
		values, header := []string{token}, map[string][]string{}
		for _, test := range []struct {
			name string
			most float64
			run  func()
		}{
			{"Open", 3, func() {
				if _, err := auth.Open(token); err != nil {
					t.Fatal(err)
				}
			}},
			{"Receive", 4, func() {
				if _, hop := auth.Receive(context.Background(), values, nil); hop.Err() != nil {
					t.Fatal(hop.Err())
				}
			}},
			{"Extract again", 0, func() {
				if _, hop := auth.Extract(ctx, values, nil); hop.Fresh() {
					t.Fatal("opened twice")
				}
			}},
			{"Receive from a header", 4, func() {
				if _, hop := auth.Receive(context.Background(), values, header); hop.Err() != nil {
					t.Fatal(hop.Err())
				}
			}},
			{"Receive nothing", 2, func() { auth.Receive(context.Background(), nil, nil) }},
			{"Send", 1, func() {
				call, err := auth.Send(ctx)
				if err != nil || call.Token() != token {
					t.Fatal(err)
				}
			}},
			{"Get", 1, func() {
				if cell, ok := Cell.Get(ctx); !ok || len(cell) != 150 {
					t.Fatal(cell)
				}
			}},
		} {
			if got := testing.AllocsPerRun(200, test.run); got > test.most {
				t.Errorf("%s %s: got %v allocations, want at most %v", shape.name, test.name, got, test.most)
			}
		}
	}
}
