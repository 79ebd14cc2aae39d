package natskv

import (
	"testing"
)

// TestZeroValues: without a connection every call fails, and nothing panics.
func TestZeroValues(t *testing.T) {
	ctx := t.Context()
	for name, s := range map[string]*Store{"zero": {}, "nil": nil} {
		_, load := s.Load(ctx)
		_, swap := s.CompareAndSwap(ctx, 0, nil)
		_, answer := s.Answer("orders", nil)
		_, ask := s.Ask(ctx)
		for call, err := range map[string]error{"Load": load, "CompareAndSwap": swap, "Answer": answer, "Ask": ask} {
			if err != errNoConnection {
				t.Errorf("%s store: %s: got %v, want %v", name, call, err, errNoConnection)
			}
		}
		if s.Nudges(ctx) != nil || s.String() == "" {
			t.Errorf("%s store: it has nudges, or no name", name)
		}
	}
	_, store := New(nil, "waybill", "shop")
	_, oldest := OldestMessage(nil, "orders")
	for call, err := range map[string]error{"New": store, "OldestMessage": oldest, "Create": Create(ctx, nil, "waybill")} {
		if err != errNoConnection {
			t.Errorf("%s: got %v, want %v", call, err, errNoConnection)
		}
	}
	if r := report("orders", "host", nil); r.Problem == "" || r.Keys != 0 {
		t.Errorf("report on a nil ring: got %+v, want a problem", r)
	}
}
