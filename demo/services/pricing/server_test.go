package pricing

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestQuote(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(trip.Claims...))
	eu := server{"pricing-eu", "eu"}
	flight, hotel := price("eu", "AMS-101"), price("eu", "AMS-Grand")
	for _, c := range []struct {
		name   string
		claims []waybill.Change
		ask    Ask
		total  int
		code   string
	}{
		{"a flight", []waybill.Change{trip.Cell.To("eu")}, Ask{Flight: "AMS-101"}, flight, ""},
		{"a hotel beside the flight in the waybill",
			[]waybill.Change{trip.Cell.To("eu"), trip.Flight.To("AMS-101")}, Ask{Hotel: "AMS-Grand"}, flight + hotel, ""},
		{"another currency",
			[]waybill.Change{trip.Cell.To("eu"), trip.Flight.To("AMS-101")}, Ask{Currency: "USD"}, flight * 109 / 100, ""},
		{"no such currency", []waybill.Change{trip.Cell.To("eu")}, Ask{Currency: "XXX"}, 0, BadAsk},
		{"a journey of the other cell", []waybill.Change{trip.Cell.To("us")}, Ask{Flight: "AMS-101"}, 0, Misrouted},
		{"a journey of no cell", nil, Ask{Flight: "AMS-101"}, 0, Misrouted},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := waybilltest.Context(t, auth, c.claims...)
			err := eu.Quote(ctx, c.ask)
			code := ""
			if refusal, ok := errors.AsType[*Error](err); ok {
				code = refusal.Code
			}
			if code != c.code || (err == nil) != (c.code == "") {
				t.Errorf("got error %v, want code %q", err, c.code)
			}
			if total, _ := trip.Total.Get(ctx); total != c.total {
				t.Errorf("total: got %d, want %d", total, c.total)
			}
		})
	}
}

// TestServeLate checks that a question whose asker has given up is left alone.
func TestServeLate(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(trip.Claims...))
	for _, c := range []struct {
		name  string
		until time.Time
		want  error
	}{
		{"in time", time.Now().Add(time.Hour), nil},
		{"too late", time.Now().Add(-time.Hour), errLate},
	} {
		ctx := waybilltest.Context(t, auth, trip.Cell.To("eu"))
		data, err := json.Marshal(question{Ask{Flight: "AMS-101"}, c.until})
		if err != nil {
			t.Fatal(err)
		}
		if err := (server{"pricing-eu", "eu"}).serve(ctx, data); err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if _, quoted := trip.Total.Get(ctx); quoted != (c.want == nil) {
			t.Errorf("%s: quoted %v, want %v", c.name, quoted, c.want == nil)
		}
	}
}
