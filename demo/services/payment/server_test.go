package payment

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/trip"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

var complete = []waybill.Change{
	trip.Step.To("pay"), trip.Flight.To("AMS-101"), trip.Hotel.To("AMS-Grand"), trip.Total.To(1), trip.Fee.To(0),
}

// newServer returns a server, the Authority of its requests, and its JetStream.
func newServer(t *testing.T) (server, *waybill.Authority, jetstream.JetStream) {
	t.Helper()
	auth, js := waybilltest.Authority(t, waybill.Claims(trip.Claims...)), brokertest.JetStream(t)
	streams, err := waybilljetstream.New(auth, js)
	if err != nil {
		t.Fatal(err)
	}
	return server{"payment-1", streams}, auth, js
}

func TestPayTwicePlacesOneOrder(t *testing.T) {
	s, auth, js := newServer(t)
	ctx := waybilltest.Context(t, auth, complete...)
	var receipts []string
	for range 2 {
		if err := s.Pay(ctx); err != nil {
			t.Fatal(err)
		}
		receipt, _ := trip.Paid.Get(ctx)
		receipts = append(receipts, receipt)
	}
	if receipts[0] == "" || receipts[0] != receipts[1] {
		t.Errorf("receipts: got %q, want the same twice", receipts)
	}
	if got := brokertest.Messages(t, js, broker.Orders); got != 1 {
		t.Errorf("got %d orders, want 1", got)
	}
	if err := s.Pay(waybilltest.Context(t, auth, complete...)); err != nil {
		t.Fatal(err)
	}
	if got := brokertest.Messages(t, js, broker.Orders); got != 2 {
		t.Errorf("after another journey: got %d orders, want 2", got)
	}
}

func TestPayForNothing(t *testing.T) {
	s, auth, js := newServer(t)
	ctx := waybilltest.Context(t, auth, complete[:3]...)
	if err := s.Pay(ctx); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v, want %v", err, codes.FailedPrecondition)
	}
	if _, paid := trip.Paid.Get(ctx); paid {
		t.Error("there is a receipt")
	}
	if got := brokertest.Messages(t, js, broker.Orders); got != 0 {
		t.Errorf("got %d orders, want none", got)
	}
}
