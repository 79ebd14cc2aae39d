// Package sender puts waybills on outgoing NATS messages.
package sender

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
	"github.com/waybill-go/waybill/transport/nats/internal/subject"
)

// Sender prepares messages for one Authority.
type Sender struct {
	Auth *waybill.Authority
	Only subject.Filter // of the subjects that get a waybill
	Rec  *telemetry.Recorder

	Spans telemetry.Spans
	NC    *nats.Conn // that sends, or nil if it is not known
}

// Prepare returns the copy of msg to send, with the trace of ctx, and its call, or nil if the copy
// carries no waybill. An error means that the message must not be sent.
func (s *Sender) Prepare(ctx context.Context, msg *nats.Msg) (*nats.Msg, *waybill.Call, error) {
	out, call, err := s.load(ctx, msg)
	if err == nil {
		s.trace(ctx, out, call)
	}
	return out, call, err
}

// load is Prepare without the trace.
func (s *Sender) load(ctx context.Context, msg *nats.Msg) (*nats.Msg, *waybill.Call, error) {
	if msg == nil {
		return nil, nil, nats.ErrInvalidMsg
	}
	out := header.Copy(msg)
	call, err := s.Auth.Send(ctx)
	expired := errors.Is(err, waybill.ErrExpired) && has(ctx)
	switch {
	case err != nil && !expired:
		s.Rec.Injected(ctx, err)
		return out, nil, nil
	case !s.Only.Approves(msg.Subject):
		s.Rec.Suppressed(ctx, msg.Subject, "subject not in OnlySubjects")
		return out, nil, nil
	case expired:
		s.Rec.Injected(ctx, err)
		return nil, nil, fmt.Errorf(
			"not sent to %q: %w; in the handler of a durable message, call waybill.Reissue first", msg.Subject, err)
	}
	if OnlyTraced(out.Header) {
		s.Rec.Suppressed(ctx, msg.Subject, "the message is only traced, not delivered")
		return out, nil, nil
	}
	if header.Untrace(out.Header) {
		s.Rec.Untraced(ctx, msg.Subject)
	}
	header.Put(out, waybill.Header, call.Token())
	s.Rec.Injected(ctx, nil)
	return out, call, nil
}

// has reports whether ctx has a waybill: one that was expired when it was received is not in it.
func has(ctx context.Context) bool {
	_, err := waybill.FromContext(ctx)
	return err == nil
}
