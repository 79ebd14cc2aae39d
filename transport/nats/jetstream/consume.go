package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
)

// Consume calls h for every message of a consumer, one at a time, with the message's waybill in its context.
// Afterwards the message is settled as h says: nil acks, [ErrTerm] terminates, any other error naks with a growing
// delay, as [Settle] does. What h settled itself stays. Messages whose waybill is refused do not reach h; those that
// cannot be decided yet are held beside the others, as many as the consumer's MaxAckPending lets out, and are handled
// when they can be.
//
// Each message has a context of its own. It inherits the values and the end of ctx, but no waybill. When ctx ends, so
// does the consuming, and what is held is left to the server. If h panics, its changes are discarded, the message is
// left to the server, and the panic goes on.
//
// The consumer must acknowledge explicitly: without acknowledgements, as ordered consumers have it, nothing can be
// refused, held or tried again, and an acknowledgement of all messages up to one would settle those that are held.
// Messages of such consumers can be opened with [Open].
func Consume(ctx context.Context, auth *waybill.Authority, cons jetstream.Consumer,
	h func(context.Context, jetstream.Msg) error, opts ...Option) (jetstream.ConsumeContext, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	beat, err := inspect(ctx, cons)
	if err != nil {
		return nil, err
	}
	wait, stop := context.WithCancel(ctx)
	r := &runner{opener: opener{config: c, auth: auth, beat: beat}, ctx: ctx, wait: wait, handle: h}
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

// inspect checks that a consumer acknowledges explicitly. It returns how often the server must hear of a message that
// is held.
func inspect(ctx context.Context, cons jetstream.Consumer) (beat time.Duration, err error) {
	info := cons.CachedInfo()
	if info == nil {
		info, err = cons.Info(ctx)
		if errors.Is(err, jetstream.ErrOrderedConsumerNotCreated) {
			return 0, errors.New("waybilljetstream: an ordered consumer does not acknowledge; " +
				"Consume needs AckExplicitPolicy, messages of this one can be opened with Open")
		}
		if err != nil {
			return 0, fmt.Errorf("waybilljetstream: cannot tell how the consumer acknowledges: %w", err)
		}
	}
	if p := info.Config.AckPolicy; p != jetstream.AckExplicitPolicy {
		return 0, fmt.Errorf("waybilljetstream: consumer %s of stream %s has %s; "+
			"Consume needs AckExplicitPolicy, messages of this one can be opened with Open", info.Name, info.Stream, p)
	}
	wait := info.Config.AckWait
	for _, w := range info.Config.BackOff { // takes the place of AckWait, one after the other
		wait = min(wait, w)
	}
	if wait <= 0 {
		return maxBeat / 10, nil
	}
	return min(wait/3, maxBeat), nil
}

// runner is one consuming.
type runner struct {
	opener
	ctx    context.Context // of the messages
	wait   context.Context // ends with the consuming, and with it what is held
	handle func(context.Context, jetstream.Msg) error

	turn sync.Mutex // one handler at a time, also for messages that were held
}

// receive is the callback of nats.go. It does not wait for messages that are held: those that the server delivered
// behind them would run out of their AckWait, and in the end of MaxDeliver.
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

// deliver gives an opened message to the handler, unless it is refused, and settles it.
func (r *runner) deliver(d delivery, msg jetstream.Msg, refused error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if refused != nil {
		r.report(msg, r.settle(d.ctx, msg, refused))
		return
	}
	r.report(msg, answer(msg, r.call(d, msg)))
}

// call runs the handler and ends the hop. A change that it makes later would be lost, and fails; nothing goes back.
func (r *runner) call(d delivery, m jetstream.Msg) error {
	defer d.hop.Discard()
	return r.handle(d.ctx, m)
}

// report logs a message that could not be settled: the server delivers it again.
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
