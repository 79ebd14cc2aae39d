package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
)

// Books are what the broker has of the last hour.
type Books struct {
	Orders   uint64 `json:"orders"`   // that were paid
	Tickets  uint64 `json:"tickets"`  // that were made of them
	Journeys int    `json:"journeys"` // that have a ticket; fewer than tickets if one has two
	Open     uint64 `json:"open"`     // orders that are still to be acknowledged
}

// Audit counts what the broker has, and writes it as JSON.
func (o *Operator) Audit(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := o.books(ctx)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return json.NewEncoder(w).Encode(b)
}

func (o *Operator) books(ctx context.Context) (b Books, err error) {
	js, err := jetstream.New(o.nats)
	if err != nil {
		return b, err
	}
	orders, err := js.Stream(ctx, broker.Orders)
	if err != nil {
		return b, err
	}
	consumer, err := orders.Consumer(ctx, broker.Fulfil)
	if err != nil {
		return b, err
	}
	waiting, err := consumer.Info(ctx)
	if err != nil {
		return b, err
	}
	b.Open = waiting.NumPending + uint64(waiting.NumAckPending)
	b.Orders = orders.CachedInfo().State.Msgs
	tickets, err := js.Stream(ctx, broker.Tickets)
	if err != nil {
		return b, err
	}
	info, err := tickets.Info(ctx, jetstream.WithSubjectFilter(broker.Ticket("*")))
	if err != nil {
		return b, err
	}
	b.Tickets, b.Journeys = info.State.Msgs, len(info.State.Subjects)
	return b, nil
}
