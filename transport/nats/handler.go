package waybillnats

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Msg is a message that a [Conn.Handler] received, without the waybill's headers. Respond and
// RespondMsg send changes of the waybill back. They may be called several times, also concurrently.
// A Msg that a test makes, with only the embedded message set, answers as that message does.
type Msg struct {
	*nats.Msg

	nc  *nats.Conn
	hop *hop
}

// Handler returns the callback for [nats.Conn.Subscribe], QueueSubscribe and the like, on the
// connection that was passed to [New]. For each message, h gets a fresh context with the message's
// waybill, or with the reason why there is none, for [waybill.FromContext], and with its trace. The
// hop ends when h returns. Handler panics if h is nil.
func (c *Conn) Handler(h func(context.Context, *Msg)) nats.MsgHandler {
	if h == nil {
		panic("waybillnats: Handler needs a function, got nil")
	}
	return func(m *nats.Msg) {
		hop, err := c.receive(m.Header, subscription(m), m.Reply)
		if err != nil {
			c.refuse(m, err)
			return
		}
		hop.run(func() { h(hop.ctx, &Msg{Msg: m, nc: c.nc, hop: hop}) })
	}
}

// Respond answers the message, and sends back what has changed. See [nats.Msg.Respond].
func (m *Msg) Respond(data []byte) error { return m.RespondMsg(&nats.Msg{Data: data}) }

// RespondMsg answers the message with a copy of msg, and sends back what has changed. See
// [nats.Msg.RespondMsg], which modifies msg; this method does not.
func (m *Msg) RespondMsg(msg *nats.Msg) error {
	if m.hop == nil {
		return m.Msg.RespondMsg(msg)
	}
	if m.Reply == "" {
		return nats.ErrMsgNoReply
	}
	result := resultOf(msg.Header)
	m.hop.outcome(result, msg.Header.Get(micro.ErrorCodeHeader))
	return m.hop.answer(result, func(tokens []string) error {
		out := header.Copy(msg)
		out.Subject = m.Reply
		m.hop.setReturn(out, tokens)
		return m.nc.PublishMsg(out)
	})
}

// subscription returns the subject of a message's subscription, or its own in a test without one.
func subscription(m *nats.Msg) string {
	if m.Sub != nil {
		return m.Sub.Subject
	}
	return m.Subject
}
