package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// handler handles a message.
type handler = func(context.Context, jetstream.Msg) error

// Consume calls h for every message of a consumer, one at a time, with the message's waybill in its
// context. Afterwards it settles the message by the handler's error, as [JetStream.Settle] does.
// Messages that the handler settled itself stay as they are. Refused messages do not reach h.
// Messages that cannot be decided yet are held without blocking others, up to the consumer's
// MaxAckPending, and are handled when they can be.
//
// Each message has its own context. It inherits the values and the end of ctx, but no waybill. When
// ctx ends, consuming ends, and held messages are left to the server. If h panics, its changes are
// discarded, the message is left to the server, and the panic continues.
//
// The consumer must acknowledge explicitly. Without acknowledgements, as with ordered consumers,
// nothing can be refused, held or tried again, and acknowledging all messages up to one would also
// settle held ones. Open messages of such consumers with [JetStream.Open].
func (s *JetStream) Consume(ctx context.Context, cons jetstream.Consumer,
	h func(context.Context, jetstream.Msg) error) (jetstream.ConsumeContext, error) {
	return s.consume(ctx, cons, h, false)
}

// Redrive is [JetStream.Consume] for a stream of dead letters. It judges a message at the time its
// original was stored, which is in [HeaderStored]. A message without that header is judged at its
// own stored time, as is a dead letter that was published to its first stream again. A dead letter
// that is refused again keeps the headers about its original.
//
// Redrive believes the header: let nobody publish to the stream except services that use
// [DeadLetter].
func (s *JetStream) Redrive(ctx context.Context, cons jetstream.Consumer,
	h func(context.Context, jetstream.Msg) error) (jetstream.ConsumeContext, error) {
	return s.consume(ctx, cons, h, true)
}

func (s *JetStream) consume(ctx context.Context, cons jetstream.Consumer, h handler,
	letters bool) (jetstream.ConsumeContext, error) {
	if cons == nil {
		return nil, errors.New("waybilljetstream: no consumer; pass one that acknowledges explicitly")
	}
	if h == nil {
		return nil, errors.New("waybilljetstream: no handler; pass the function that handles messages")
	}
	beat, err := inspect(ctx, cons)
	if err != nil {
		return nil, err
	}
	wait, stop := context.WithCancel(ctx)
	r := &runner{opener: opener{JetStream: s, beat: beat, letters: letters}, ctx: ctx, wait: wait, handle: h}
	run, err := cons.Consume(r.receive)
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		defer stop()
		select {
		case <-ctx.Done():
			run.Stop()
		case <-run.Closed():
		}
	}()
	return run, nil
}

// maxBeat is the longest time between two signs of progress.
const maxBeat = 10 * time.Second

// inspect checks that a consumer acknowledges explicitly. It returns how often to tell the server
// that a held message is in progress.
func inspect(ctx context.Context, cons jetstream.Consumer) (beat time.Duration, err error) {
	info := cons.CachedInfo()
	if info == nil {
		info, err = cons.Info(ctx)
		if errors.Is(err, jetstream.ErrOrderedConsumerNotCreated) {
			return 0, errors.New("waybilljetstream: an ordered consumer does not acknowledge; " +
				"use a consumer with AckExplicitPolicy, or open its messages with Open")
		}
		if err != nil {
			return 0, fmt.Errorf("waybilljetstream: cannot read the consumer's acknowledgement policy: %w", err)
		}
	}
	if p := info.Config.AckPolicy; p != jetstream.AckExplicitPolicy {
		return 0, fmt.Errorf("waybilljetstream: consumer %s of stream %s has %s; "+
			"use one with AckExplicitPolicy, or open its messages with Open", info.Name, info.Stream, p)
	}
	wait := info.Config.AckWait
	for _, w := range info.Config.BackOff { // each replaces AckWait for one delivery
		wait = min(wait, w)
	}
	if wait <= 0 {
		return maxBeat / 10, nil
	}
	return min(wait/3, maxBeat), nil
}

// runner is one run of Consume or Redrive.
type runner struct {
	opener
	ctx    context.Context // of the messages
	wait   context.Context // ends with consuming, which ends holding
	handle handler

	turn sync.Mutex // one handler at a time, also for messages that were held
}

// receive is the callback of nats.go. It does not wait for held messages: messages that the server
// delivered after them would exceed their AckWait, and eventually MaxDeliver.
func (r *runner) receive(msg jetstream.Msg) {
	if r.ctx.Err() != nil {
		return
	}
	d, err := r.open(r.ctx, msg)
	if held(err) {
		go func() {
			d, err := r.hold(r.wait, r.ctx, msg, err)
			if !held(err) {
				r.deliver(d, msg, err)
			}
		}()
		return
	}
	r.deliver(d, msg, err)
}

// deliver passes an opened message to the handler, unless it is refused, and settles it.
func (r *runner) deliver(d delivery, msg jetstream.Msg, refused error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if refused != nil {
		r.report(msg, r.Settle(d.ctx, msg, refused))
		return
	}
	r.report(msg, settle(msg, r.call(d, msg)))
}

// call runs the handler and ends the hop: later changes fail, because they would be lost. Nothing
// is returned to the sender.
func (r *runner) call(d delivery, m jetstream.Msg) error {
	defer d.hop.Discard()
	return r.handle(d.ctx, m)
}

// report logs a message that could not be settled. The server delivers it again.
func (r *runner) report(msg jetstream.Msg, err error) {
	if err == nil {
		return
	}
	attrs := []any{slog.Any("error", err)}
	if meta, merr := msg.Metadata(); merr == nil {
		attrs = append(attrs, slog.String("stream", meta.Stream), slog.String("consumer", meta.Consumer),
			slog.Uint64("sequence", meta.Sequence.Stream))
	}
	r.logger.ErrorContext(r.ctx, "waybill: message not settled", attrs...)
}
