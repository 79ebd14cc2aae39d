package waybillnats

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
)

// MicroHandler returns the handler of an endpoint of package micro. It is to a micro service what [Handler] is to a
// subscription: h gets a context of its own for each request, and a request without the waybill's headers, whose
// Respond, RespondJSON and Error send the changes of the waybill back. After an Error the changes of
// [waybill.Claim.OnSuccess] claims stay behind. The hop ends when h returns.
//
// It reads the same options as [Handler].
func MicroHandler(auth *waybill.Authority, h func(context.Context, micro.Request), opts ...Option) micro.Handler {
	g := newGate(auth, opts)
	return micro.HandlerFunc(func(req micro.Request) {
		back, err := g.enter(nats.Header(req.Headers()))
		if err != nil {
			// If this fails, the connection is at an end, and so is the peer's wait.
			_ = req.Error(code(err), description(err), nil,
				micro.WithHeaders(micro.Headers{HeaderReason: {waybill.Reason(err)}}))
			return
		}
		back.run(req.Reply(), func() { h(back.ctx, &request{Request: req, back: back}) })
	})
}

// request adds the update to the answers of a micro request.
type request struct {
	micro.Request
	back *wayBack
}

func (r *request) Respond(data []byte, opts ...micro.RespondOpt) error {
	return r.back.answer(false, func(update string) error {
		return r.Request.Respond(data, with(update, opts)...)
	})
}

func (r *request) RespondJSON(v any, opts ...micro.RespondOpt) error {
	return r.back.answer(false, func(update string) error {
		return r.Request.RespondJSON(v, with(update, opts)...)
	})
}

func (r *request) Error(code, description string, data []byte, opts ...micro.RespondOpt) error {
	return r.back.answer(true, func(update string) error {
		return r.Request.Error(code, description, data, with(update, opts)...)
	})
}

// with adds the update after all other options, on a header of the answer's own: [micro.WithHeaders] makes it the
// application's map.
func with(update string, opts []micro.RespondOpt) []micro.RespondOpt {
	return append(slices.Clip(opts), func(m *nats.Msg) {
		m.Header = maps.Clone(m.Header)
		stamp(m, update)
	})
}
