package waybill_test

import (
	"context"
	"testing"

	"github.com/waybill-go/waybill"
)

// TestReceiveFrom: layers of one carrier share a hop, requests that inherit a context never do.
func TestReceiveFrom(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	type header map[string][]string
	one, other := header{}, header{}
	type connection struct{ name string }
	pointer := &connection{"one"}
	for _, test := range []struct {
		name         string
		outer, inner any // nil: Receive
		begun        bool
		fresh        bool
	}{
		{"the same header", one, one, false, false},
		{"the same header, begun", one, one, true, false},
		{"the same pointer, begun", pointer, pointer, true, false},
		{"another header", one, other, false, true},
		{"another pointer", pointer, &connection{"one"}, false, true},
		{"a header, and none", one, nil, false, true},
		{"none, and a header", nil, one, false, true},
		{"none twice", nil, nil, false, false},
		{"none twice, begun", nil, nil, true, true},
		{"a header that is nil", header(nil), header(nil), true, true},
	} {
		for _, values := range [][]string{nil, {token}, {"garbage"}} {
			from := func(ctx context.Context, source any) (context.Context, waybill.Hop) {
				if source == nil {
					return auth.Receive(ctx, values, nil)
				}
				return auth.Receive(ctx, values, source)
			}
			outer, hop := from(t.Context(), test.outer)
			if test.begun {
			}
			inner, again := from(outer, test.inner)
			if again.Fresh() != test.fresh || waybill.Reason(again.Err()) != waybill.Reason(hop.Err()) {
				t.Errorf("%s, %d values: got fresh %v, %v, want %v and the same outcome", test.name, len(values), again.Fresh(), again.Err(), test.fresh)
			}
			if again.Begin() == (test.begun && !test.fresh) {
				t.Errorf("%s, %d values: Begin: want one who answers for each hop", test.name, len(values))
			}
			if values != nil {
				continue
			}
			// A journey that one request begins is on no other's way.
			if _, err := auth.Start(inner, Cell.To("mine")); err != nil {
				t.Fatal(err)
			}
			if _, err := waybill.FromContext(outer); (err == nil) == test.fresh {
				t.Errorf("%s: a journey begun inside: outside got %v", test.name, err)
			}
		}
	}
	// The hop is over: nothing is shared with it.
	outer, hop := auth.Receive(t.Context(), nil, one)
	hop.Commit(waybill.Succeeded)
	if _, again := auth.Receive(outer, nil, one); !again.Fresh() {
		t.Error("the outcome of a hop that is over was used again")
	}
}
