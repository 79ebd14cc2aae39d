package waybilljetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish publishes a copy of msg to a stream, with the waybill in ctx, if there is one, and waits
// until the copy is stored. The copy has none of the waybill's headers of msg, in any spelling. A
// waybill of another Authority is not sent: the message goes without it, and counts as
// foreign_domain. If the waybill has expired since it was received, nothing is sent and the error
// is [waybill.ErrExpired]; call [waybill.Reissue] first.
//
// A stream that drops msg as a duplicate keeps the waybill of the first message.
func (s *JetStream) Publish(ctx context.Context, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	out, err := s.prepare(ctx, msg)
	if err != nil {
		return nil, err
	}
	return s.js.PublishMsg(ctx, out, opts...)
}

// PublishAsync publishes a copy of msg as [JetStream.Publish] does, and does not wait until it is
// stored: the future reports the result. The end of ctx does not matter. The future's message is
// the copy, which contains the token.
func (s *JetStream) PublishAsync(ctx context.Context, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	out, err := s.prepare(ctx, msg)
	if err != nil {
		return nil, err
	}
	return s.js.PublishMsgAsync(out, opts...)
}

// prepare returns the copy of msg to publish.
func (s *JetStream) prepare(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	out, _, err := s.sender.Prepare(ctx, msg)
	if err != nil && msg != nil {
		err = fmt.Errorf("waybilljetstream: %w", err)
	}
	return out, err
}
