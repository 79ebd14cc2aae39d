package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Open opens the waybill of a message from Fetch, Next or Messages, judged at the time the message
// was stored. The returned context is for the handling of this message; it inherits no waybill from
// ctx, and has the message's trace. Open starts no span. An error means that the message is refused: pass it to [JetStream.Settle]. Open removes the
// waybill's headers from messages that it does not refuse.
//
//	for m := range batch.Messages() {
//		mctx, err := stream.Open(ctx, m)
//		if err == nil {
//			err = handle(mctx, m)
//		}
//		err = stream.Settle(mctx, m, err)
//	}
//
// While the keys needed to decide are missing, Open holds the message, until they are loaded or ctx
// ends. It tells the server once a second that work is in progress, so the AckWait of the consumer
// must be longer. The other messages of the batch wait meanwhile: fetch few, or use
// [JetStream.Consume], which holds messages without blocking others.
func (s *JetStream) Open(ctx context.Context, msg jetstream.Msg) (context.Context, error) {
	o := opener{JetStream: s, beat: time.Second}
	d, err := o.open(ctx, msg)
	if held(err) {
		d, err = o.hold(ctx, ctx, msg, err, func(error) bool { return true })
	}
	return d.ctx, err
}

// opener opens messages.
type opener struct {
	*JetStream
	beat    time.Duration // between two signs of progress
	letters bool          // the messages are dead letters
	proof   *proof        // nil: the ring is not doubted
}

// delivery is one delivery of a message, opened.
type delivery struct {
	ctx     context.Context // without a waybill if the message is refused
	hop     waybill.Hop
	ignored error // why the message would be refused if ReportOnly were not set
}

// open is try, counted. A held message is counted twice: when it is first tried, and when its
// outcome is known.
func (o *opener) open(ctx context.Context, msg jetstream.Msg) (delivery, error) {
	d, err := o.try(ctx, msg)
	if d.hop != (waybill.Hop{}) {
		o.rec.Opened(d.ctx, d.hop)
		o.count(d, msg, err)
		o.prove(d, msg, err)
	}
	if err != nil {
		d.ctx = waybill.Without(ctx)
		return d, err
	}
	header.Strip(msg.Headers())
	// A propagator of waybills finds no token now, and leaves the hop as it is.
	d.ctx = o.sender.Spans.Extract(d.ctx, waybillnats.Carrier(msg.Headers()))
	return d, nil
}

// count counts a refusal, and messages that pass only because of ReportOnly. A held message is not
// refused yet.
func (o *opener) count(d delivery, msg jetstream.Msg, err error) {
	switch {
	case err == nil && d.ignored != nil:
		o.rec.Observed(d.ctx, d.ignored)
	case err == nil:
		_ = o.rules.Admit(d.ctx, o.rec) // judged already
	case !held(err):
		o.rec.Refused(d.ctx, err)
		o.warn(msg, err)
	}
}

// prove notes whether the ring knows the key of a message.
func (o *opener) prove(d delivery, msg jetstream.Msg, err error) {
	switch {
	case o.proof == nil:
	case d.hop.Err() == nil:
		o.proof.opened()
	case errors.Is(err, waybill.ErrUnknownKey) && !held(err) && o.proof.refused():
		o.logger.LogAttrs(d.ctx, slog.LevelError, "waybill: the ring knows no key of the messages so far; "+
			"messages with unknown keys are held from now on; check that this is the ring of the messages' domain",
			place(msg)...)
	}
}

// try opens a message and judges it. On a refusal, the context still has what was judged.
func (o *opener) try(ctx context.Context, msg jetstream.Msg) (delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return delivery{ctx: ctx}, fmt.Errorf("waybilljetstream: %w", err)
	}
	now := o.auth.Now()
	stored, letter := o.original(msg, meta)
	if !letter {
		stored = meta.Timestamp
	}
	at, span := stored, o.expiredSpan(msg.Headers(), meta.Stream, letter)
	old := o.maxAge > 0 && stored.Before(now.Add(-o.maxAge))
	if old {
		at, span = now, 0 // the time in the stream counts
	}
	d := o.receive(ctx, header.Values(msg.Headers(), waybill.Header), at, span)
	err = o.rules.Judge(d.ctx)
	if err == nil && old && d.hop.Err() == nil {
		err = fmt.Errorf("%w: the message was stored longer ago than MaxAge", waybill.ErrExpired)
		if o.rules.ReportOnly {
			d.ignored, err = err, nil
		}
	}
	if err != nil {
		r := &refusal{reason: err, held: o.undecided(err, stored, now), letter: letter}
		r.doubted = !r.held && errors.Is(err, waybill.ErrUnknownKey) && o.proof.doubted()
		r.held = r.held || r.doubted
		err = r
	}
	return d, err
}

// margin is how much later than a message was stored the ring must be confirmed, to contain every
// key of that time. The clocks of the server and of this node may differ by half of the default
// leeway, and the confirming read takes time.
const margin = waybill.DefaultLeeway / 2

// undecided reports whether a refusal may be caused by this node, and pass.
func (o *opener) undecided(err error, stored, now time.Time) bool {
	switch {
	case waybill.ClassOf(err) == waybill.Unavailable:
		return true
	case errors.Is(err, waybill.ErrUnknownKey):
		return !o.auth.KeysConfirmedSince(stored.Add(margin))
	case errors.Is(err, waybill.ErrNotYetValid):
		return stored.After(now)
	}
	return false
}
