package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// handler handles a message.
type handler = func(context.Context, jetstream.Msg) error

// Consume calls h for every message of a consumer, with the message's waybill in its context.
// Afterwards it settles the message by the handler's error, as [JetStream.Settle] does. Messages
// that the handler settled itself stay as they are. Refused messages do not reach h. Messages that
// cannot be decided yet are held without blocking others, up to a share of the consumer's
// MaxAckPending, and are handled when they can be.
//
// Handlers run one at a time, or as many at once as [Workers] says. While a handler runs, and while
// its message waits for a free worker, the server is told that work is in progress, so a handler
// may take longer than the consumer's AckWait. Messages in the client's buffer wait without that
// sign. If handlers are slow, pass [jetstream.PullMaxMessages] with 1: the next message is fetched
// when a worker is free, and replicas get the others. Other options of nats.go are passed on as
// well.
//
// Each message has its own context. It inherits the values and the end of ctx, but no waybill and
// no span. When ctx ends, consuming ends as with Stop. If h panics, its changes are discarded, the
// message is left to the server, and the panic continues.
//
// Stop and Drain of the returned ConsumeContext do what they do in nats.go: Stop discards the
// client's buffer, and Drain handles it first. Both leave held messages to the server. The channel
// Closed is closed after all handlers have returned, including handlers of held messages. Errors of
// consuming, such as a deleted consumer or missing heartbeats of the server, are logged; to handle
// them, pass [jetstream.ConsumeErrHandler], which replaces the log.
//
// The consumer must acknowledge explicitly. Without acknowledgements, as with ordered consumers,
// nothing can be refused, held or tried again, and acknowledging all messages up to one would also
// settle held ones. Open messages of such consumers with [JetStream.Open].
//
// Terminating a refused message deletes it from a stream with work-queue or interest retention. For
// such a stream, Consume returns an error unless [DeadLetter] or [AllowLoss] is set.
func (s *JetStream) Consume(ctx context.Context, cons jetstream.Consumer,
	h func(context.Context, jetstream.Msg) error, opts ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	return s.consume(ctx, cons, h, false, opts)
}

// Redrive is [JetStream.Consume] for a stream of dead letters. It judges a message at the time its
// original was stored, which is in [HeaderStored]. A message without that header is judged at its
// own stored time, as is a dead letter that was published to its first stream again. A dead letter
// that is refused again keeps the headers about its original.
//
// Letters that are refused again must not become letters of the same stream: use a JetStream
// without [DeadLetter], which leaves them where they are, or with the subject of another stream.
//
// Redrive believes the header: let nobody publish to the stream except services that use
// [DeadLetter].
func (s *JetStream) Redrive(ctx context.Context, cons jetstream.Consumer,
	h func(context.Context, jetstream.Msg) error, opts ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	return s.consume(ctx, cons, h, true, opts)
}

func (s *JetStream) consume(ctx context.Context, cons jetstream.Consumer, h handler, letters bool,
	opts []jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	if cons == nil {
		return nil, errors.New("waybilljetstream: no consumer; pass one that acknowledges explicitly")
	}
	if h == nil {
		return nil, errors.New("waybilljetstream: no handler; pass the function that handles messages")
	}
	info, err := inspect(ctx, cons)
	if err != nil {
		return nil, err
	}
	if err := s.checkLoss(ctx, info.Stream); err != nil {
		return nil, err
	}
	if err := s.checkLoop(ctx, info.Stream, letters); err != nil {
		return nil, err
	}
	r := newRunner(ctx, s, info, h, letters)
	// A ConsumeErrHandler of the caller comes later, and so replaces this one.
	opts = append([]jetstream.PullConsumeOpt{jetstream.ConsumeErrHandler(r.failed)}, opts...)
	run, err := cons.Consume(r.receive, opts...)
	if err != nil {
		r.leave()
		return nil, err
	}
	if s.dead != "" && info.Config.MaxAckPending > 0 {
		go r.share.watch(r.wait, cons)
	}
	return newRunning(r, run), nil
}

// maxBeat is the longest time between two signs of progress.
const maxBeat = 10 * time.Second

// inspect checks that a consumer acknowledges explicitly.
func inspect(ctx context.Context, cons jetstream.Consumer) (*jetstream.ConsumerInfo, error) {
	info := cons.CachedInfo()
	if info == nil {
		var err error
		info, err = cons.Info(ctx)
		if errors.Is(err, jetstream.ErrOrderedConsumerNotCreated) {
			return nil, errors.New("waybilljetstream: an ordered consumer does not acknowledge; " +
				"use a consumer with AckExplicitPolicy, or open its messages with Open")
		}
		if err != nil {
			return nil, fmt.Errorf("waybilljetstream: cannot read the consumer's acknowledgement policy: %w", err)
		}
	}
	if p := info.Config.AckPolicy; p != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("waybilljetstream: consumer %s of stream %s has %s; "+
			"use one with AckExplicitPolicy, or open its messages with Open", info.Name, info.Stream, p)
	}
	return info, nil
}

// beatOf returns how often to tell the server that a message of a consumer is in progress.
func beatOf(cfg jetstream.ConsumerConfig) time.Duration {
	wait := cfg.AckWait
	for _, w := range cfg.BackOff { // each replaces AckWait for one delivery
		wait = min(wait, w)
	}
	if wait <= 0 {
		return maxBeat / 10
	}
	return min(wait/3, maxBeat)
}
