package trip_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestSubject(t *testing.T) {
	for _, c := range []struct{ cell, want string }{
		{"eu", "pricing.eu"},
		{"us-2", "pricing.us-2"},
		{"", ""},
		{"*", ""},
		{">", ""},
		{"eu.us", ""},
		{"eu us", ""},
		{"eu\r\n", ""},
		{"EU", ""},
		{strings.Repeat("e", 17), ""},
	} {
		got, err := trip.Subject(c.cell)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Subject(%q): got %q, %v, want %q", c.cell, got, err, c.want)
		}
	}
}

func TestStampAddsAndKeeps(t *testing.T) {
	ctx := waybilltest.Context(t, waybilltest.Authority(t, waybill.Claims(trip.Claims...)))
	for _, replica := range []string{"cart-2", "gateway-1", "cart-2"} {
		if err := waybill.Update(ctx, trip.Stamp(replica)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := first(trip.Stamps.Get(ctx)), []string{"cart-2", "gateway-1"}; !slices.Equal(got, want) {
		t.Errorf("stamps: got %q, want %q", got, want)
	}
}

func TestKeyChangesWithTheStepAlone(t *testing.T) {
	ctx := waybilltest.Context(t, waybilltest.Authority(t, waybill.Claims(trip.Claims...)))
	key := func(changes ...waybill.Change) string {
		if err := waybill.Update(ctx, changes...); err != nil {
			t.Fatal(err)
		}
		wb, err := waybill.FromContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return trip.Key(wb)
	}
	pay := key(trip.Step.To("pay"))
	if got := key(trip.Paid.To("receipt")); got != pay {
		t.Errorf("key after another claim changed: got %q, want %q still", got, pay)
	}
	if got := key(trip.Step.To("ticket")); got == pay {
		t.Errorf("key of the next step: got %q again", got)
	}
}

func TestStateHasTheBookingAlone(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(trip.Claims...))
	ctx := waybilltest.Context(t, auth, trip.Cell.To("eu"), trip.Total.To(5))
	state := trip.StateOf(first(waybill.FromContext(ctx)))
	if len(state) != 2 || string(state["cell"]) != `"eu"` || string(state["total"]) != "5" {
		t.Errorf("state: got %s, want cell and total", state)
	}
	if got := trip.StateOf(first(waybill.FromContext(context.Background()))); len(got) != 0 {
		t.Errorf("state of no waybill: got %s, want none", got)
	}
}

func first[T, U any](v T, _ U) T { return v }
