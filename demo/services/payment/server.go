package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/rpc"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

var desc = grpc.ServiceDesc{
	ServiceName: name,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		rpc.Unary(name, "Quote", func(s server, ctx context.Context, q *quote) (*struct{}, error) {
			return &struct{}{}, s.Quote(ctx, q.Card)
		}),
		rpc.Unary(name, "Pay", func(s server, ctx context.Context, _ *struct{}) (*struct{}, error) {
			return &struct{}{}, s.Pay(ctx)
		}),
	},
}

// Run serves until the process ends.
func Run(ctx context.Context, e *service.Env) error {
	js, err := jetstream.New(e.NATS)
	if err != nil {
		return err
	}
	streams, err := waybilljetstream.New(e.Auth, js)
	if err != nil {
		return err
	}
	return rpc.Serve(ctx, e, &desc, server{e.Name, streams})
}

type server struct {
	replica string
	streams *waybilljetstream.JetStream
}

// Fees are what the cards take, in hundredths of a per cent.
var Fees = map[string]int{"visa": 120, "amex": 250, "giro": 0}

// Quote sets the fee of a card.
func (s server) Quote(ctx context.Context, card string) error {
	if err := service.Work(ctx); err != nil {
		return err
	}
	fee, ok := Fees[card]
	if !ok {
		return status.Error(codes.InvalidArgument, "card is visa, amex or giro")
	}
	return waybill.Update(ctx, trip.Fee.To(fee), trip.Stamp(s.replica))
}

// Pay sets the receipt and places the order. A second payment of the same journey has the same idempotency key: it
// gets the same receipt, and JetStream drops its order. So a traveller who replays an old waybill
// pays nothing twice either.
func (s server) Pay(ctx context.Context) error {
	if err := service.Work(ctx); err != nil {
		return err
	}
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		return err
	}
	for _, c := range []waybill.Declaration{trip.Flight, trip.Hotel, trip.Total, trip.Fee} {
		if !wb.Has(c.Name()) {
			return status.Errorf(codes.FailedPrecondition, "there is no %s to pay for yet", c.Name())
		}
	}
	key := trip.Key(wb)
	receipt := sha256.Sum256([]byte(key))
	// The receipt is set first, so that the order carries it. If the order fails, so does the call,
	// and the receipt does not travel back: its claim is OnSuccess.
	err = waybill.Update(ctx, trip.Paid.To(hex.EncodeToString(receipt[:6])), trip.Stamp(s.replica))
	if err != nil {
		return err
	}
	// The order is the waybill; there is nothing to add.
	order := nats.NewMsg(broker.Placed)
	ctx, span := tracing.Send(ctx, "place order", order)
	defer span.End()
	if _, err := s.streams.Publish(ctx, order, jetstream.WithMsgID(key)); err != nil {
		return status.Error(codes.Unavailable, "order not placed")
	}
	return nil
}
