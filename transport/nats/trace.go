package waybillnats

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/subject"
)

// unknownError is the kind of an error that has no better one, in OpenTelemetry's conventions.
const unknownError = "_OTHER"

// begin starts the span of a message that is sent.
func (c *Conn) begin(ctx context.Context, kind trace.SpanKind, op string, msg *nats.Msg) (context.Context, telemetry.Span) {
	if msg == nil {
		return ctx, telemetry.Span{}
	}
	return c.spans.Start(ctx, telemetry.Message{Kind: kind, Operation: op, Subject: msg.Subject, Temporary: subject.Inbox})
}

// fail marks the span of a message that could not be sent, or that got no reply.
func fail(span telemetry.Span, err error) {
	if err == nil || span == (telemetry.Span{}) {
		return
	}
	kind := waybill.Reason(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		kind = "timeout"
	case errors.Is(err, context.Canceled):
		kind = "canceled"
	case errors.Is(err, nats.ErrNoResponders):
		kind = "no_responders"
	case kind == "error":
		kind = unknownError
	}
	span.Fail(kind, err.Error())
}

// failReply marks the span of a request whose reply is an error of package micro.
func failReply(span telemetry.Span, reply *nats.Msg) {
	if span != (telemetry.Span{}) && resultOf(reply.Header) == waybill.Failed {
		kind := reply.Header.Get(micro.ErrorCodeHeader)
		if kind == "" {
			kind = unknownError
		}
		span.Fail(kind, "")
	}
}
