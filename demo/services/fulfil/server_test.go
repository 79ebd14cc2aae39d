package fulfil

import (
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestTicketTwiceIsOneTicket(t *testing.T) {
	s := server{brokertest.JetStream(t)}
	ctx := waybilltest.Context(t, waybilltest.Authority(t, waybill.Claims(trip.Claims...)),
		trip.Flight.To("AMS-101"), trip.Total.To(5), trip.Currency.To("USD"), trip.Paid.To("receipt"))
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := Find(t.Context(), s.js, wb.ID()); found || err != nil {
		t.Fatalf("before the order: found %v, %v, want false", found, err)
	}
	var tickets [2]Ticket
	for i := range tickets {
		if err := s.Ticket(ctx); err != nil {
			t.Fatal(err)
		}
		var found bool
		if tickets[i], found, err = Find(t.Context(), s.js, wb.ID()); !found || err != nil {
			t.Fatalf("found %v, %v, want true", found, err)
		}
	}
	want := Ticket{Number: tickets[0].Number, Flight: "AMS-101", Total: 5, Currency: "USD", Receipt: "receipt"}
	if tickets[0] != want || tickets[0].Number == "" {
		t.Errorf("ticket: got %+v, want what was in the waybill, and a number", tickets[0])
	}
	if tickets[1] != tickets[0] {
		t.Errorf("ticket of the second delivery: got %+v, want %+v", tickets[1], tickets[0])
	}
	if got := brokertest.Messages(t, s.js, broker.Tickets); got != 1 {
		t.Errorf("got %d tickets, want 1", got)
	}
}
