package waybillnats

import (
	"context"
	"errors"
	"iter"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
)

// RequestMany sends a copy of msg once, as [Request] does, each time that the sequence is ranged over, and yields the
// replies of everybody who answers: a scatter-gather. The update that a reply brings is merged into ctx before the
// reply is yielded, each against the token that was sent.
//
//	for reply, err := range waybillnats.RequestMany(ctx, nc, msg, waybillnats.Stall(200*time.Millisecond)) {
//
// The gathering is complete when as many replies have come as [MaxReplies] says, when none came for as long as [Stall]
// says, or, without MaxReplies, at the deadline of ctx; also when the loop is left. If it ends before, the last element
// is a nil reply and the error: [nats.ErrNoResponders], that of ctx, or of the connection. A reply that says in the
// manner of package micro that it is an error is a reply like any other.
//
// It reads [AcceptBack], [AllowSubjects], [MeterProvider], [Logger], [MaxReplies] and [Stall].
func RequestMany(ctx context.Context, nc *nats.Conn, msg *nats.Msg, opts ...Option) iter.Seq2[*nats.Msg, error] {
	return func(yield func(*nats.Msg, error) bool) {
		c := newConfig(opts)
		g, err := c.scatter(ctx, nc, msg)
		if err != nil {
			yield(nil, err)
			return
		}
		// The server may hear of the end late, or never if the connection is lost: what still comes is nobody's.
		defer func() { _ = g.inbox.Unsubscribe() }()
		for n := 0; c.maxReplies == 0 || n < c.maxReplies; n++ {
			reply, err := g.next(ctx, n)
			if reply == nil && err == nil || !yield(reply, err) || err != nil {
				return
			}
		}
	}
}

// gathering is one request to many.
type gathering struct {
	*config
	inbox *nats.Subscription
	call  *waybill.Call // nil: no waybill was sent
}

// scatter sends the request.
func (c *config) scatter(ctx context.Context, nc *nats.Conn, msg *nats.Msg) (*gathering, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, call, err := c.outgoing(ctx, msg)
	if err != nil {
		return nil, err
	}
	inbox, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return nil, err
	}
	out.Reply = inbox.Subject
	if err := nc.PublishMsg(out); err != nil {
		_ = inbox.Unsubscribe()
		return nil, err
	}
	return &gathering{config: c, inbox: inbox, call: call}, nil
}

// next returns the reply after n others, or neither reply nor error if the gathering is complete.
func (g *gathering) next(ctx context.Context, n int) (*nats.Msg, error) {
	wait, stop := g.patience(ctx, n)
	defer stop()
	reply, err := g.inbox.NextMsgWithContext(wait)
	switch {
	case err == nil:
		g.merge(ctx, reply)
		return reply, nil
	case ctx.Err() == nil && wait.Err() != nil: // none came for as long as Stall says
		return nil, nil
	case g.maxReplies == 0 && errors.Is(err, context.DeadlineExceeded):
		return nil, nil
	}
	return nil, err
}

// patience returns the context in which to wait for a reply after n others.
func (g *gathering) patience(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	if g.stall == 0 || n == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, g.stall)
}

// merge takes a reply's update into ctx. Each reply gets a copy of the call: it is compared with what was sent, not with
// what another has answered.
func (g *gathering) merge(ctx context.Context, reply *nats.Msg) {
	if g.call == nil {
		g.takeBack(ctx, nil, reply)
		return
	}
	one := *g.call
	g.takeBack(ctx, &one, reply)
}
