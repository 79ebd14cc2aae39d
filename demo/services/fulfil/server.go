package fulfil

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

// Run serves until the process ends.
func Run(ctx context.Context, e *service.Env) error {
	js, err := jetstream.New(e.NATS)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, broker.Orders, broker.Fulfil)
	if err != nil {
		return err
	}
	srv := server{js}
	handle := func(ctx context.Context, order jetstream.Msg) error {
		ctx, span := tracing.Receive(ctx, tracing.Order, order.Headers())
		defer span.End()
		defer e.Watch.Begin(ctx, "JetStream")()
		return srv.Ticket(ctx)
	}
	streams, err := waybilljetstream.New(e.Auth, js, waybilljetstream.Required())
	if err != nil {
		return err
	}
	run, err := streams.Consume(context.WithoutCancel(ctx), consumer, handle)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, run.Drain) // what was fetched is handled, and nothing more is fetched
	return e.ServeNATS(ctx)
}

type server struct{ js jetstream.JetStream }

// Ticket makes the ticket of the journey in ctx. It may be repeated; the first ticket stays. The
// order was the waybill alone, so the ticket is made from its claims.
func (s server) Ticket(ctx context.Context) error {
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		return err
	}
	t := Ticket{Number: rand.Text()[:10]}
	t.Flight, _ = trip.Flight.Of(wb)
	t.Hotel, _ = trip.Hotel.Of(wb)
	t.Total, _ = trip.Total.Of(wb)
	t.Currency, _ = trip.Currency.Of(wb)
	t.Receipt, _ = trip.Paid.Of(wb)
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	// An order that is delivered again, because its worker died before the acknowledgement, makes
	// no second ticket, and neither does one that was placed again long after: only the first
	// message on a subject is stored.
	_, err = s.js.Publish(ctx, broker.Ticket(wb.ID()), data, jetstream.WithExpectLastSequencePerSubject(0))
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return nil
	}
	if err != nil {
		return err
	}
	return service.Work(ctx) // a kill now is the worst: the ticket is out, and the order not acknowledged
}
