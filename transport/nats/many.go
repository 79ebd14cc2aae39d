package waybillnats

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
)

// Replies says when [Conn.RequestMany] has all replies. The zero Replies collects replies until the
// deadline of the context.
type Replies struct {
	// Max is how many replies complete the sequence. If fewer have come at the deadline of the
	// context, the sequence ends with an error. 0 is no limit.
	Max int

	// Stall completes the sequence when no further reply has come for this long. It does not limit
	// the wait for the first reply. 0 is no limit.
	Stall time.Duration
}

func (r Replies) check() error {
	if r.Max < 0 {
		return fmt.Errorf("waybillnats: Replies.Max is %d; it must not be negative, and 0 is no limit", r.Max)
	}
	if r.Stall < 0 {
		return fmt.Errorf("waybillnats: Replies.Stall is %v; it must not be negative, and 0 is no limit", r.Stall)
	}
	return nil
}

// RequestMany requests many replies to one message (scatter-gather). Each time the sequence is
// ranged over, it sends a copy of msg once, as [Conn.Request] does, and yields the replies. The
// token that a reply returns is merged into ctx before the reply is yielded, each compared with the
// token that was sent.
//
//	for reply, err := range conn.RequestMany(ctx, msg, waybillnats.Replies{Stall: 200 * time.Millisecond}) {
//
// The sequence is complete when [Replies] says so, or when the loop is left. If it ends earlier,
// the last element is a nil reply and the error: [nats.ErrNoResponders], the error of ctx, or the
// error of the connection. A negative value in Replies is an error, and nothing is sent. A reply
// that is an error of package micro is yielded like any other.
func (c *Conn) RequestMany(ctx context.Context, msg *nats.Msg, replies Replies) iter.Seq2[*nats.Msg, error] {
	return func(yield func(*nats.Msg, error) bool) {
		ctx, span := c.begin(ctx, trace.SpanKindClient, "request", msg)
		defer span.End()
		g, err := c.scatter(ctx, msg, replies)
		if err != nil {
			fail(span, err)
			yield(nil, err)
			return
		}
		// The server may learn of this late, or never if the connection is lost. Further replies
		// are dropped.
		defer func() { _ = g.inbox.Unsubscribe() }()
		for n := 0; replies.Max == 0 || n < replies.Max; n++ {
			reply, err := g.next(ctx, n)
			fail(span, err)
			if reply == nil && err == nil || !yield(reply, err) || err != nil {
				return
			}
		}
	}
}

// gathering is one request for many replies.
type gathering struct {
	*Conn
	replies Replies
	inbox   *nats.Subscription
	call    *waybill.Call // nil: no waybill was sent
}

// scatter sends the request.
func (c *Conn) scatter(ctx context.Context, msg *nats.Msg, replies Replies) (*gathering, error) {
	if err := replies.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, call, err := c.prepare(ctx, msg)
	if err != nil {
		return nil, err
	}
	inbox, err := c.nc.SubscribeSync(c.nc.NewRespInbox())
	if err != nil {
		return nil, err
	}
	out.Reply = inbox.Subject
	err = c.nc.PublishMsg(out)
	for c.sender.Lighten(ctx, msg, out, &call, err) {
		err = c.nc.PublishMsg(out)
	}
	if err != nil {
		_ = inbox.Unsubscribe()
		return nil, err
	}
	return &gathering{Conn: c, replies: replies, inbox: inbox, call: call}, nil
}

// next returns the reply after n others, or neither reply nor error if the sequence is complete.
func (g *gathering) next(ctx context.Context, n int) (*nats.Msg, error) {
	wait, stop := g.patience(ctx, n)
	defer stop()
	reply, err := g.inbox.NextMsgWithContext(wait)
	switch {
	case err == nil:
		g.mergeOne(ctx, reply)
		return reply, nil
	case ctx.Err() == nil && wait.Err() != nil: // no reply for as long as Stall says
		return nil, nil
	case g.replies.Max == 0 && errors.Is(err, context.DeadlineExceeded):
		return nil, nil
	}
	return nil, err
}

// patience returns the context in which to wait for a reply after n others.
func (g *gathering) patience(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	if g.replies.Stall == 0 || n == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, g.replies.Stall)
}

// mergeOne merges the token that one reply returned. Each reply gets a copy of the call, so that
// its token is compared with the token that was sent, and not with the token of another reply.
func (g *gathering) mergeOne(ctx context.Context, reply *nats.Msg) {
	if g.call == nil {
		g.merge(ctx, nil, reply)
		return
	}
	one := *g.call
	g.merge(ctx, &one, reply)
}
