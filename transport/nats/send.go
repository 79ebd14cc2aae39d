package waybillnats

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Publish publishes a copy of msg that carries the waybill in ctx, if there is one. What msg itself has under that
// header, in any spelling, is left out. A waybill that has expired is not sent, and neither is the message: the error
// is [waybill.ErrExpired], and [waybill.Reissue] helps in the handler of a durable message. As with
// [nats.Conn.PublishMsg], the end of ctx does not matter.
func Publish(ctx context.Context, nc *nats.Conn, msg *nats.Msg, opts ...Option) error {
	out, _, err := newConfig(opts).outgoing(ctx, msg)
	if err != nil {
		return err
	}
	return nc.PublishMsg(out)
}

// Request sends a copy of msg as [Publish] does, waits for the reply until ctx ends, and merges the update that the
// reply brings into ctx. A reply that is an error of package micro brings no changes of [waybill.Claim.OnSuccess]
// claims. The waybill's headers are removed from the reply. What became of the update never changes the result: see
// [waybill.Lost].
func Request(ctx context.Context, nc *nats.Conn, msg *nats.Msg, opts ...Option) (*nats.Msg, error) {
	c := newConfig(opts)
	out, call, err := c.outgoing(ctx, msg)
	if err != nil {
		return nil, err
	}
	reply, err := nc.RequestMsgWithContext(ctx, out)
	if err != nil {
		return nil, err
	}
	c.takeBack(ctx, call, reply)
	return reply, nil
}

// outgoing returns the copy of msg to send, and the call that it makes if it carries a waybill.
func (c *config) outgoing(ctx context.Context, msg *nats.Msg) (*nats.Msg, *waybill.Call, error) {
	if msg == nil {
		return nil, nil, nats.ErrInvalidMsg
	}
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	out := header.Copy(msg)
	call, absent, err := header.Send(ctx, msg.Subject)
	switch {
	case absent != nil:
		c.recorder().Injected(ctx, absent)
	case !c.allows(msg.Subject):
		c.recorder().Suppressed(ctx, msg.Subject, "subject not in AllowSubjects")
		call = nil
	case err != nil:
		c.recorder().Injected(ctx, err)
		return nil, nil, fmt.Errorf("waybillnats: %w", err)
	default:
		header.Put(out, waybill.Header, call.Token())
		c.recorder().Injected(ctx, nil)
	}
	return out, call, nil
}

// takeBack merges a reply's update. Whoever sent no waybill takes none.
func (c *config) takeBack(ctx context.Context, call *waybill.Call, reply *nats.Msg) {
	updates := header.Values(reply.Header, waybill.HeaderUpdate)
	header.Remove(reply.Header, waybill.Header, waybill.HeaderUpdate)
	switch {
	case len(updates) == 0:
		return
	case call == nil:
		c.recorder().Updated(ctx, string(waybill.Refused))
		return
	}
	returns := slices.Clip(c.returns)
	if isError(reply.Header) {
		returns = append(returns, waybill.Failed())
	}
	// Two updates joined are no token, and so refused.
	outcome, err := call.Return(strings.Join(updates, ","), returns...)
	c.recorder().Returned(ctx, outcome, err)
}

// isError reports whether a reply says in the manner of package micro that the request failed.
func isError(h nats.Header) bool {
	return len(header.Values(h, micro.ErrorHeader)) > 0 || len(header.Values(h, micro.ErrorCodeHeader)) > 0
}
