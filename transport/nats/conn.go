package waybillnats

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
	"github.com/waybill-go/waybill/transport/nats/internal/sender"
	"github.com/waybill-go/waybill/transport/nats/internal/subject"
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
	spans  telemetry.Spans
	base   context.Context // of handlers; without a waybill and without a span
	rules  admission.Rules
	accept []waybill.MergeOption
	sender sender.Sender
	only   subject.Filter // of the subjects that get returned tokens; without patterns: see returnsTo
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
	cfg := config{Conn: &Conn{auth: auth, nc: nc, base: context.Background()}}
	for _, o := range opts {
		if err := o.apply(&cfg); err != nil {
			return nil, err
		}
	}
	c := cfg.Conn
	c.rec = telemetry.New("nats", cfg.provider, cfg.logger)
	c.sender.Auth, c.sender.Rec, c.sender.NC = auth, c.rec, nc
	if !cfg.untraced {
		c.spans = telemetry.NewSpans(cfg.tracers)
		c.sender.Spans = c.spans
	}
	return c, nil
}

// receive begins the hop of a message that came to a subscription, removes the waybill's headers,
// and starts the span. The trace is extracted afterwards: a propagator of waybills finds no token
// then, and leaves the hop as it is.
func (c *Conn) receive(h nats.Header, subscribed, reply string) (*hop, error) {
	ctx, received := c.auth.Receive(c.base, header.Values(h, waybill.Header), nil)
	header.Strip(h)
	ctx = c.spans.Extract(ctx, Carrier(h))
	ctx, span := c.spans.Start(ctx, telemetry.Message{
		Kind: handledAs(reply), Operation: "process", Subject: subscribed, Temporary: subject.Inbox,
	})
	c.rec.Opened(ctx, received)
	if err := c.rules.Admit(ctx, c.rec); err != nil {
		received.Discard()
		span.Fail(waybill.Reason(err), description(err))
		span.End()
		return nil, err
	}
	return &hop{Conn: c, Hop: received, ctx: ctx, span: span, reply: reply}, nil
}

// handledAs returns the kind of a handler's span: only a request waits for an answer. The reply
// subject of a message that a stream delivers is for acknowledgements.
func handledAs(reply string) trace.SpanKind {
	if reply == "" || isAck(reply) {
		return trace.SpanKindConsumer
	}
	return trace.SpanKindServer
}
