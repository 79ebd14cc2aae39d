package sender

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// OnlyTraced reports whether the server would trace a message and deliver it to nobody. Without its
// trace headers it would be delivered, so such a message keeps them, and carries no token.
func OnlyTraced(h nats.Header) bool {
	if first(h[header.TraceDest]) == "" || slices.Contains(h[header.TraceDest], header.TraceDisabled) {
		return false
	}
	switch strings.ToLower(first(h[header.TraceOnly])) {
	case "1", "true", "on":
		return true
	}
	return false
}

// first returns the first value that the server sees: it skips empty ones.
func first(values []string) string {
	for _, v := range values {
		if v = strings.Trim(v, " \t\r\n"); v != "" {
			return v
		}
	}
	return ""
}

// trace injects the trace of ctx into a message, unless the server accepts no headers. Afterwards
// the message is not traced by the server if it carries a token.
func (s *Sender) trace(ctx context.Context, out *nats.Msg, call *waybill.Call) {
	if s.NC == nil || s.NC.HeadersSupported() {
		s.Spans.Inject(ctx, outgoing{out})
	}
	if call != nil {
		header.Untrace(out.Header)
	}
}

// Lighten removes from out some of what Prepare added to msg, if sending it failed with err because
// it exceeds the server's max_payload, and reports whether to send it again: first the trace, then
// the waybill, whose call becomes nil. Nothing was sent: the client checks the size.
func (s *Sender) Lighten(ctx context.Context, msg, out *nats.Msg, call **waybill.Call, err error) bool {
	if !errors.Is(err, nats.ErrMaxPayload) {
		return false
	}
	bare := header.Copy(msg)
	if *call != nil {
		header.Put(bare, waybill.Header, (*call).Token())
		header.Untrace(bare.Header)
	}
	if !maps.EqualFunc(bare.Header, out.Header, slices.Equal) {
		out.Header = bare.Header
		return true
	}
	if *call == nil {
		return false
	}
	*call = nil
	out.Header = header.Copy(msg).Header
	s.Rec.Oversized(ctx, msg.Subject)
	return true
}

// outgoing is a message into which a trace is injected. It does not write the waybill's headers.
type outgoing struct{ *nats.Msg }

func (o outgoing) Get(name string) string {
	if values := header.Values(o.Header, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (o outgoing) Keys() []string { return slices.Collect(maps.Keys(o.Header)) }

func (o outgoing) Set(name, value string) {
	if !header.IsOurs(name) {
		header.Put(o.Msg, name, value)
	}
}
