package pricing

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/wait"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

// Client calls the service over NATS. It routes by the waybill: the cell is in it.
type Client struct{ NATS *waybillnats.Conn }

// Quote sets the total of the waybill in ctx, and the currency if one is asked for. A request whose service died gets no answer, so it is repeated for as
// long as ctx allows.
func (c Client) Quote(ctx context.Context, ask Ask) error {
	cell, err := trip.Cell.Lookup(ctx)
	if err != nil {
		return err
	}
	subject, err := trip.Subject(cell)
	if err != nil {
		return err
	}
	timeout := 500 * time.Millisecond
	for {
		err := c.request(ctx, subject, ask, timeout)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			timeout *= 2 // nobody answered; too many may be asking
		case errors.Is(err, nats.ErrNoResponders):
			wait.For(ctx, 20*time.Millisecond) // the only replica of the cell may come back
		default:
			return err
		}
	}
}

func (c Client) request(ctx context.Context, subject string, ask Ask, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	until, _ := ctx.Deadline()
	data, err := json.Marshal(question{ask, until})
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: subject, Data: data}
	ctx, span := tracing.Send(ctx, "ask "+subject, m)
	defer span.End()
	answer, err := c.NATS.Request(ctx, m)
	if err != nil {
		return err
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return &Error{code, answer.Header.Get(micro.ErrorHeader)}
	}
	return nil
}
