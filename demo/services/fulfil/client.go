package fulfil

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
)

// Find returns the ticket of a journey, and whether there is one yet.
func Find(ctx context.Context, js jetstream.JetStream, sid string) (t Ticket, found bool, err error) {
	stream, err := js.Stream(ctx, broker.Tickets)
	if err != nil {
		return t, false, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, broker.Ticket(sid))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return t, false, nil
	}
	if err != nil {
		return t, false, err
	}
	return t, true, json.Unmarshal(m.Data, &t)
}
