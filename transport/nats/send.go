package waybillnats

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Publish publishes a copy of msg with the waybill in ctx, if there is one. The copy has none of
// the waybill's headers of msg, in any spelling. A waybill of another Authority is not sent: the
// message goes without it, and counts as foreign_domain. If the waybill has expired since it was
// received, nothing is sent and the error is [waybill.ErrExpired]; in the handler of a durable
// message, call [waybill.Reissue] first. As with [nats.Conn.PublishMsg], the end of ctx does not
// matter.
func (c *Conn) Publish(ctx context.Context, msg *nats.Msg) error {
	ctx, span := c.begin(ctx, trace.SpanKindProducer, "publish", msg)
	defer span.End()
	out, call, err := c.prepare(ctx, msg)
	if err == nil {
		err = c.nc.PublishMsg(out)
		for c.sender.Lighten(ctx, msg, out, &call, err) {
			err = c.nc.PublishMsg(out)
		}
	}
	fail(span, err)
	return err
}

// Request sends a copy of msg as [Conn.Publish] does, waits for the reply until ctx ends, and
// merges the returned token into ctx. A reply that is an error of package micro brings no changes
// of [waybill.Claim.OnSuccess] claims. The waybill's headers are removed from the reply. A returned
// token that is rejected never changes the result: see [waybill.Lost].
func (c *Conn) Request(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	ctx, span := c.begin(ctx, trace.SpanKindClient, "request", msg)
	defer span.End()
	out, call, err := c.prepare(ctx, msg)
	if err != nil {
		fail(span, err)
		return nil, err
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, out)
	for c.sender.Lighten(ctx, msg, out, &call, err) {
		reply, err = c.nc.RequestMsgWithContext(ctx, out)
	}
	if err != nil {
		fail(span, err)
		return nil, err
	}
	failReply(span, reply)
	c.merge(ctx, call, reply)
	return reply, nil
}

// prepare returns the copy of msg to send, and its call, or nil if the copy carries no waybill.
func (c *Conn) prepare(ctx context.Context, msg *nats.Msg) (*nats.Msg, *waybill.Call, error) {
	out, call, err := c.sender.Prepare(ctx, msg)
	if err != nil && msg != nil {
		err = fmt.Errorf("waybillnats: %w", err)
	}
	return out, call, err
}

// merge merges the token that a reply returned. A call without a waybill accepts none.
func (c *Conn) merge(ctx context.Context, call *waybill.Call, reply *nats.Msg) {
	returned := header.Values(reply.Header, waybill.HeaderReturn)
	header.Strip(reply.Header)
	switch {
	case len(returned) == 0:
		return
	case call == nil:
		c.rec.Returned(ctx, string(waybill.Rejected))
		return
	}
	outcome, err := call.Merge(returned, resultOf(reply.Header), c.accept...)
	c.rec.Merged(ctx, outcome, err)
}

// resultOf returns the result that an answer's headers report, as package micro writes them.
func resultOf(h nats.Header) waybill.Result {
	if len(header.Values(h, micro.ErrorHeader)) > 0 || len(header.Values(h, micro.ErrorCodeHeader)) > 0 {
		return waybill.Failed
	}
	return waybill.Succeeded
}
