package waybillnats

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Msg is a message that a [Handler] received, without the waybill's headers. Its Respond and RespondMsg send the
// changes of the waybill back; they may be called several times, also concurrently. The zero Msg with a message in it
// answers as that message does.
type Msg struct {
	*nats.Msg

	nc   *nats.Conn
	back *wayBack
}

// Handler returns the callback for [nats.Conn.Subscribe] and its kin. h gets a context of its own for each message,
// which inherits from no other; it has the message's waybill, and [waybill.FromContext] tells why if it has none. The
// hop ends when h returns.
//
// Answers and refusals are published on nc, which must be the subscription's connection.
//
// It reads [Required], [Observe], [RequireClaims] and [MeterProvider].
func Handler(auth *waybill.Authority, nc *nats.Conn, h func(context.Context, *Msg), opts ...Option) nats.MsgHandler {
	g := newGate(auth, opts)
	return func(m *nats.Msg) {
		back, err := g.enter(m.Header)
		if err != nil {
			refuse(nc, m, err)
			return
		}
		back.run(m.Reply, func() { h(back.ctx, &Msg{Msg: m, nc: nc, back: back}) })
	}
}

// Respond answers the message, with the update that is due. See [nats.Msg.Respond].
func (m *Msg) Respond(data []byte) error { return m.RespondMsg(&nats.Msg{Data: data}) }

// RespondMsg answers the message with a copy of msg, and with the update that is due. See [nats.Msg.RespondMsg]; unlike
// there, msg itself does not change.
func (m *Msg) RespondMsg(msg *nats.Msg) error {
	if m.back == nil {
		return m.Msg.RespondMsg(msg)
	}
	if m.Reply == "" {
		return nats.ErrMsgNoReply
	}
	return m.back.answer(isError(msg.Header), func(update string) error {
		out := header.Copy(msg)
		out.Subject = m.Reply
		stamp(out, update)
		return m.nc.PublishMsg(out)
	})
}
