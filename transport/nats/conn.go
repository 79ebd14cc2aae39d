package waybillnats

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
	"github.com/waybill-go/waybill/transport/nats/internal/sender"
)

// Conn sends and handles messages with waybills on a NATS connection. It is safe for concurrent
// use; the zero Conn is not valid.
//
// All handlers of a Conn have the same rules, and all its calls the same list of subjects. A
// process that needs other options for some of them makes another Conn on the same connection.
type Conn struct {
	auth   *waybill.Authority
	nc     *nats.Conn
	rec    *telemetry.Recorder
	rules  admission.Rules
	accept []waybill.MergeOption
	sender sender.Sender
}

// New returns a Conn for services of the Authority's trust domain. Handlers must be subscribed on
// nc, because they answer there.
func New(auth *waybill.Authority, nc *nats.Conn, opts ...Option) (*Conn, error) {
	if auth == nil {
		return nil, errors.New("waybillnats: no Authority: pass the one that waybill.New returned")
	}
	if nc == nil {
		return nil, errors.New("waybillnats: no connection: pass the one that nats.Connect returned")
	}
	cfg := config{Conn: &Conn{auth: auth, nc: nc}}
	for _, o := range opts {
		if err := o.apply(&cfg); err != nil {
			return nil, err
		}
	}
	c := cfg.Conn
	c.rec = telemetry.New("nats", cfg.provider, cfg.logger)
	c.sender.Auth, c.sender.Rec = auth, c.rec
	return c, nil
}

// receive begins the hop of a message and removes the waybill's headers. The hop's context is made
// from the background context, so that it inherits nothing from other messages or from the
// subscriber.
func (c *Conn) receive(h nats.Header) (*hop, error) {
	ctx, received := c.auth.Receive(context.Background(), header.Values(h, waybill.Header), nil)
	header.Strip(h)
	c.rec.Opened(ctx, received)
	if err := c.rules.Admit(ctx, c.rec); err != nil {
		received.Discard()
		return nil, err
	}
	return &hop{ctx: ctx, Hop: received, rec: c.rec}, nil
}
