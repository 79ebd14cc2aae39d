package waybilljetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// Publish publishes a copy of msg to a stream, with the waybill in ctx, if there is one, and waits
// until the copy is stored. The copy has none of the waybill's headers of msg, in any spelling. A
// waybill of another Authority is not sent: the message goes without it, and counts as
// foreign_domain. If the waybill has expired since it was received, nothing is sent and the error
// is [waybill.ErrExpired]; call [waybill.Reissue] first.
//
// A message that exceeds the server's max_payload only because of its trace or its waybill is
// published without them; the loss of the waybill is counted as too_large.
//
// A stream that drops msg as a duplicate keeps the waybill of the first message.
func (s *JetStream) Publish(ctx context.Context, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, span := s.begin(ctx, msg)
	defer span.End()
	out, call, err := s.prepare(ctx, msg)
	if err != nil {
		fail(span, err)
		return nil, err
	}
	ack, err := s.js.PublishMsg(ctx, out, opts...)
	for s.sender.Lighten(ctx, msg, out, &call, err) {
		ack, err = s.js.PublishMsg(ctx, out, opts...)
	}
	fail(span, err)
	return ack, err
}

// PublishAsync publishes a copy of msg as [JetStream.Publish] does, and does not wait until it is
// stored: the future reports the result. The end of ctx does not matter. The future's message is
// the copy, which contains the token.
func (s *JetStream) PublishAsync(ctx context.Context, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	ctx, span := s.begin(ctx, msg)
	defer span.End()
	out, call, err := s.prepare(ctx, msg)
	if err != nil {
		fail(span, err)
		return nil, err
	}
	reply := out.Reply // PublishMsgAsync sets it
	future, err := s.js.PublishMsgAsync(out, opts...)
	for s.sender.Lighten(ctx, msg, out, &call, err) {
		out.Reply = reply
		future, err = s.js.PublishMsgAsync(out, opts...)
	}
	fail(span, err)
	return future, err
}

// prepare returns the copy of msg to publish, and its call, or nil if the copy carries no waybill.
func (s *JetStream) prepare(ctx context.Context, msg *nats.Msg) (*nats.Msg, *waybill.Call, error) {
	out, call, err := s.sender.Prepare(ctx, msg)
	if err != nil && msg != nil {
		err = fmt.Errorf("waybilljetstream: %w", err)
	}
	return out, call, err
}

// begin starts the span of a message that is published.
func (s *JetStream) begin(ctx context.Context, msg *nats.Msg) (context.Context, telemetry.Span) {
	if msg == nil {
		return ctx, telemetry.Span{}
	}
	return s.sender.Spans.Start(ctx, telemetry.Message{
		Kind: trace.SpanKindProducer, Operation: "publish", Subject: msg.Subject,
	})
}

// fail marks the span of a message that was not published or not handled.
func fail(span telemetry.Span, err error) {
	if err != nil && span != (telemetry.Span{}) {
		span.Fail(waybill.Reason(err), err.Error())
	}
}
