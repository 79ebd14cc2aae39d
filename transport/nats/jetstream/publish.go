package waybilljetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
	"github.com/waybill-go/waybill/transport/nats/internal/record"
)

// Publish publishes a copy of msg to a stream, with the waybill in ctx, if there is one. The message and its header
// map stay as they are. What msg itself has under the waybill's headers, in any spelling, is left out. A waybill that
// has expired is not sent, and neither is the message: the error is [waybill.ErrExpired], and [waybill.Reissue]
// helps.
//
// A stream that drops msg as a duplicate keeps the waybill of the first.
func Publish(ctx context.Context, js jetstream.Publisher, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	out, err := outgoing(ctx, msg)
	if err != nil {
		return nil, err
	}
	return js.PublishMsg(ctx, out, opts...)
}

// PublishAsync publishes a copy of msg as [Publish] does, and does not wait for the stream: what became of it is in the
// future. The end of ctx does not matter. The message of the future is the copy, token included.
func PublishAsync(ctx context.Context, js jetstream.Publisher, msg *nats.Msg,
	opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	out, err := outgoing(ctx, msg)
	if err != nil {
		return nil, err
	}
	return js.PublishMsgAsync(out, opts...)
}

// outgoing returns the copy of msg to publish.
func outgoing(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	if msg == nil {
		return nil, nats.ErrInvalidMsg
	}
	rec := record.For(transport, nil, nil)
	out := header.Copy(msg)
	call, absent, err := header.Send(ctx, msg.Subject)
	switch {
	case absent != nil:
		rec.Injected(ctx, absent)
	case err != nil:
		rec.Injected(ctx, err)
		return nil, fmt.Errorf("waybilljetstream: %w", err)
	default:
		header.Put(out, waybill.Header, call.Token())
		rec.Injected(ctx, nil)
	}
	return out, nil
}
