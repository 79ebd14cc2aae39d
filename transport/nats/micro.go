package waybillnats

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
)

// MicroHandler returns the handler of a micro endpoint. For each request, h gets a fresh context
// with the request's waybill, as in [Conn.Handler], and the request without the waybill's headers.
// The request does not tell the subject of its endpoint, so its span has the request's own.
// Respond, RespondJSON and Error send changes of the waybill back; Error sends none of
// [waybill.Claim.OnSuccess] claims. The hop ends when h returns. MicroHandler panics if h is nil.
func (c *Conn) MicroHandler(h func(context.Context, micro.Request)) micro.Handler {
	if h == nil {
		panic("waybillnats: MicroHandler needs a function, got nil")
	}
	return micro.HandlerFunc(func(req micro.Request) {
		hop, err := c.receive(nats.Header(req.Headers()), req.Subject(), req.Reply())
		if err != nil {
			// If this fails, the connection is closed, and the caller no longer waits.
			_ = req.Error(code(err), description(err), nil,
				micro.WithHeaders(micro.Headers{HeaderReason: {waybill.Reason(err)}}))
			return
		}
		hop.run(func() { h(hop.ctx, &request{Request: req, hop: hop}) })
	})
}

// request adds the token to return to the answers of a micro request.
type request struct {
	micro.Request
	hop *hop
}

func (r *request) Respond(data []byte, opts ...micro.RespondOpt) error {
	return r.hop.answer(waybill.Succeeded, func(tokens []string) error {
		return r.Request.Respond(data, r.with(tokens, opts)...)
	})
}

func (r *request) RespondJSON(v any, opts ...micro.RespondOpt) error {
	return r.hop.answer(waybill.Succeeded, func(tokens []string) error {
		return r.Request.RespondJSON(v, r.with(tokens, opts)...)
	})
}

func (r *request) Error(code, description string, data []byte, opts ...micro.RespondOpt) error {
	r.hop.outcome(waybill.Failed, code)
	return r.hop.answer(waybill.Failed, func(tokens []string) error {
		return r.Request.Error(code, description, data, r.with(tokens, opts)...)
	})
}

// with adds the token after all other options, on a copy of the header: [micro.WithHeaders] puts
// the application's map into the message.
func (r *request) with(tokens []string, opts []micro.RespondOpt) []micro.RespondOpt {
	return append(slices.Clip(opts), func(m *nats.Msg) {
		m.Header = maps.Clone(m.Header)
		r.hop.setReturn(m, tokens)
	})
}
