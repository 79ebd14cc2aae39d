package waybilljetstream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// runner is one run of Consume or Redrive.
type runner struct {
	opener
	ctx    context.Context // of the messages
	wait   context.Context // ends with consuming, which ends holding
	leave  context.CancelFunc
	handle handler
	info   *jetstream.ConsumerInfo

	workers chan *worker // those that are free
	tasks   tasks
	share   *share
	crowded limiter // of the log about messages beyond the share
}

func newRunner(ctx context.Context, s *JetStream, info *jetstream.ConsumerInfo, h handler, letters bool) *runner {
	r := &runner{
		opener: opener{JetStream: s, beat: beatOf(info.Config), letters: letters, proof: new(proof)},
		ctx:    telemetry.WithoutSpan(ctx), handle: h, info: info,
		workers: make(chan *worker, s.workers), share: newShare(info.Config.MaxAckPending),
		tasks: tasks{over: make(chan struct{})},
	}
	r.wait, r.leave = context.WithCancel(ctx)
	for range s.workers {
		r.workers <- newWorker(r.beat)
	}
	return r
}

// receive is the callback of nats.go. It does not wait for held messages: messages that the server
// delivered after them would exceed their AckWait, and eventually MaxDeliver.
func (r *runner) receive(msg jetstream.Msg) {
	if r.ctx.Err() != nil || !r.tasks.begin() {
		return
	}
	d, err := r.open(r.ctx, msg)
	if held(err) {
		s := &seat{share: r.share, kid: kidOf(msg.Headers())}
		if r.stays(msg, s, err) {
			go func() {
				defer r.tasks.end()
				r.hold(msg, s, err)
			}()
			return
		}
		if err = r.crowd(msg, s.kid, err); err == nil {
			r.tasks.end()
			return
		}
	}
	w := r.worker(msg)
	switch {
	case w == nil:
		r.tasks.end()
	case cap(r.workers) == 1:
		defer r.tasks.end()
		r.deliver(w, d, msg, err)
	default:
		go func() {
			defer r.tasks.end()
			r.deliver(w, d, msg, err)
		}()
		// nats.go asks for the next message when this returns: not before somebody can handle it.
		r.workers <- <-r.workers
	}
}

// worker returns a free worker for a message, or nil if the context has ended. Meanwhile the server
// is told that work is in progress.
func (r *runner) worker(msg jetstream.Msg) *worker {
	select {
	case w := <-r.workers:
		return w
	default:
	}
	pulse := time.NewTicker(r.beat)
	defer pulse.Stop()
	for {
		select {
		case w := <-r.workers:
			return w
		case <-pulse.C:
			_ = msg.InProgress() // without it, the server delivers the message again
		case <-r.ctx.Done():
			return nil
		}
	}
}

// deliver passes an opened message to the handler, unless it is refused, and settles it.
func (r *runner) deliver(w *worker, d delivery, msg jetstream.Msg, refused error) {
	defer func() { r.workers <- w }()
	if refused != nil {
		w.begin(msg)
		defer w.end()
		r.report(msg, r.Settle(d.ctx, msg, refused))
		return
	}
	r.report(msg, settle(msg, r.call(w, d, msg)))
}

// call runs the handler and ends the hop: later changes fail, because they would be lost. Nothing
// is returned to the sender.
func (r *runner) call(w *worker, d delivery, m jetstream.Msg) (err error) {
	ctx, span := r.sender.Spans.Start(d.ctx, telemetry.Message{
		Kind: trace.SpanKindConsumer, Operation: "process", Subject: r.info.Stream,
	})
	r.rec.Describe(ctx, d.hop)
	returned := false
	defer func() {
		if !returned {
			span.Fail("panic", "")
		}
		span.End()
	}()
	defer d.hop.Discard()
	w.begin(m)
	defer w.end()
	err = r.handle(ctx, m)
	fail(span, err)
	returned = true
	return err
}

// hold holds a message, and handles it if it can be decided before consuming ends.
func (r *runner) hold(msg jetstream.Msg, s *seat, why error) {
	defer s.free()
	d, err := r.opener.hold(r.wait, r.ctx, msg, why, func(why error) bool { return r.stays(msg, s, why) })
	s.free()
	if refused, ok := errors.AsType[*refusal](err); ok && refused.held {
		if !refused.crowded {
			return // consuming has ended: the message is left to the server
		}
		if err = r.crowd(msg, s.kid, err); err == nil {
			return
		}
	}
	if w := r.worker(msg); w != nil {
		if r.wait.Err() != nil {
			r.workers <- w
			return
		}
		r.deliver(w, d, msg, err)
	}
}

// stays reports whether a message may be held.
func (r *runner) stays(msg jetstream.Msg, s *seat, why error) bool {
	return r.alone(msg, why) || s.keep()
}

// alone reports whether a message is held without counting against the share. While no key is
// loaded, no other waybill can be decided either. A message at its last delivery would never be
// delivered again, unless it becomes a dead letter.
func (r *runner) alone(msg jetstream.Msg, why error) bool {
	if r.info.Config.MaxAckPending <= 0 {
		return false
	}
	refused, ok := errors.AsType[*refusal](why)
	return errors.Is(why, waybill.ErrNoKey) || r.dead == "" && !(ok && refused.doubted) && !r.again(msg)
}

// crowd decides what becomes of a message beyond the share of held messages. It returns how to
// refuse the message, or nil if the server is to deliver it again.
//
// Only a message that is acked or terminated makes room in the consumer's MaxAckPending: one that
// is Nak'ed counts until it is delivered again.
func (r *runner) crowd(msg jetstream.Msg, kid string, why error) error {
	refused, ok := errors.AsType[*refusal](why)
	if !ok {
		return why
	}
	out := *refused
	out.held, out.crowded = false, false
	var fate string
	switch {
	case out.doubted:
		fate = "refused, because the ring is up to date"
		r.rec.Refused(r.ctx, &out)
		r.warn(msg, &out)
	case r.dead != "":
		out.undecided = true
		fate = "dead letters with the reason undecided"
		r.rec.Undecided(r.ctx)
	default:
		fate = "delivered again later; they count against MaxAckPending, so set DeadLetter to keep the consumer going"
		r.rec.Undecided(r.ctx)
	}
	if r.crowded.allows(time.Now()) {
		r.logger.WarnContext(r.ctx, "waybill: too many messages cannot be decided to hold them all",
			slog.String("stream", r.info.Stream), slog.String("consumer", r.info.Name), slog.Int("held", r.share.held()),
			slog.String("kid", kid), slog.String("reason", waybill.Reason(out.reason)), slog.String("others", fate))
	}
	if out.doubted || out.undecided {
		return &out
	}
	if r.again(msg) {
		r.report(msg, once(nak(msg)))
	}
	return nil
}

// again reports whether the server would deliver a message again.
func (r *runner) again(msg jetstream.Msg) bool {
	most := r.info.Config.MaxDeliver
	meta, err := msg.Metadata()
	return err != nil || most <= 0 || meta.NumDelivered < uint64(most)
}

// report logs a message that could not be settled. The server delivers it again.
func (r *runner) report(msg jetstream.Msg, err error) {
	if err == nil {
		return
	}
	attrs := append([]slog.Attr{slog.Any("error", err)}, place(msg)...)
	r.logger.LogAttrs(r.ctx, slog.LevelError, "waybill: message not settled", attrs...)
}

// failed logs an error of consuming, as nats.go reports it.
func (r *runner) failed(_ jetstream.ConsumeContext, err error) {
	r.logger.ErrorContext(r.ctx, "waybill: consuming failed", slog.Any("error", err),
		slog.String("stream", r.info.Stream), slog.String("consumer", r.info.Name))
}

// place returns the attributes that name a message.
func place(msg jetstream.Msg) []slog.Attr {
	meta, err := msg.Metadata()
	if err != nil {
		return nil
	}
	return []slog.Attr{slog.String("stream", meta.Stream), slog.String("consumer", meta.Consumer),
		slog.Uint64("sequence", meta.Sequence.Stream)}
}
