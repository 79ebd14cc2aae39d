package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Open opens the waybill of a message from Fetch, Next or Messages, as of the time that the message was stored. The
// context that it returns is for the handling of this message; it inherits no waybill from ctx. An error is for
// [Settle]: the message is refused. Open takes the waybill's headers out of a message that it does not refuse.
//
//	for m := range batch.Messages() {
//		mctx, err := waybilljetstream.Open(ctx, auth, m)
//		if err == nil {
//			err = handle(mctx, m)
//		}
//		err = waybilljetstream.Settle(mctx, m, err)
//	}
//
// If the keys are not there to tell, Open holds the message until they are, or ctx ends. It tells the server once a
// second that work is in progress; the AckWait of the consumer must be longer, and the other messages of the batch
// wait meanwhile: fetch few, or use [Consume], which holds messages beside the others.
func Open(ctx context.Context, auth *waybill.Authority, msg jetstream.Msg, opts ...Option) (context.Context, error) {
	c, err := newConfig(opts)
	if err != nil {
		return waybill.Without(ctx), err
	}
	o := opener{auth: auth, config: c, beat: time.Second}
	d, err := o.open(ctx, msg)
	if held(err) {
		d, err = o.hold(ctx, ctx, msg, err)
	}
	return d.ctx, err
}

// opener opens messages.
type opener struct {
	*config
	auth *waybill.Authority
	beat time.Duration // between two signs of progress
}

// delivery is one delivery of a message, opened.
type delivery struct {
	ctx context.Context // without a waybill if the message is refused
	hop waybill.Hop
}

// open is try, counted. A message that is held counts twice: when it is first tried, and when its outcome is known.
func (o *opener) open(ctx context.Context, msg jetstream.Msg) (delivery, error) {
	d, err := o.try(ctx, msg)
	if d.hop != (waybill.Hop{}) {
		o.recorder().Opened(d.ctx, d.hop)
		o.count(d.ctx, err)
	}
	if err != nil {
		d.ctx = waybill.Without(ctx)
		return d, err
	}
	header.Remove(msg.Headers(), waybill.Header, waybill.HeaderUpdate)
	return d, nil
}

// count counts a refusal, and what only observing lets pass. A message that is held is not refused yet.
func (o *opener) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		_ = o.policy.Admit(ctx, o.recorder()) // judged already
	case !held(err):
		o.recorder().Refused(ctx, err)
	}
}

// try opens a message and judges it. On a refusal, the context still has what was judged.
func (o *opener) try(ctx context.Context, msg jetstream.Msg) (delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return delivery{ctx: ctx}, fmt.Errorf("waybilljetstream: %w", err)
	}
	now := o.auth.Now()
	stored, letter := o.noted(msg, meta)
	if !letter {
		stored = meta.Timestamp
	}
	at, grace := stored, o.graceOf(msg.Headers(), meta.Stream, letter)
	old := o.maxAge > 0 && stored.Before(now.Add(-o.maxAge))
	if old {
		at, grace = now, 0 // the benefit of waiting in a queue ends here
	}
	d := o.receive(ctx, header.Values(msg.Headers(), waybill.Header), at, grace)
	d.hop.Begin()
	err = o.policy.Judge(d.ctx)
	if err == nil && old && d.hop.Err() == nil && !o.policy.Observe {
		err = fmt.Errorf("%w: the message was stored longer ago than MaxAge", waybill.ErrExpired)
	}
	if err != nil {
		err = &refusal{reason: err, held: o.undecided(err, stored, now)}
	}
	return d, err
}

// margin is how much later than a message was stored the ring must be confirmed, to know every key of that time: the
// clocks of the server and of this node may differ by half of the usual leeway, and the confirming read takes time.
const margin = waybill.DefaultLeeway / 2

// undecided reports whether a refusal may be the fault of this node, and pass.
func (o *opener) undecided(err error, stored, now time.Time) bool {
	switch {
	case waybill.ClassOf(err) == waybill.Unavailable:
		return true
	case errors.Is(err, waybill.ErrUnknownKey):
		return !o.auth.Ring().ConfirmedSince(stored.Add(margin))
	case errors.Is(err, waybill.ErrNotYetValid):
		return stored.After(now)
	}
	return false
}
