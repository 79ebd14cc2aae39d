package waybilljetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
)

// retryEvery is how often a held message is tried. A try that fails because of a missing key costs
// a look-up.
const retryEvery = 250 * time.Millisecond

// held reports whether err means that the message is to be held.
func held(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.held
}

// hold holds a message that cannot be decided yet, until it can be or wait ends, or until stay
// reports that there is no room for it any longer. The server is told that work is in progress, so
// it neither delivers the message again nor counts a delivery. The message is handled in ctx.
func (o *opener) hold(wait, ctx context.Context, msg jetstream.Msg, why error,
	stay func(why error) bool) (delivery, error) {
	none := delivery{ctx: waybill.Without(ctx)}
	pulse := time.NewTicker(o.beat)
	defer pulse.Stop()
	retry := time.NewTicker(min(retryEvery, o.beat))
	defer retry.Stop()
	err := msg.InProgress()
	for !over(err) {
		select {
		case <-wait.Done():
			return none, why
		case <-pulse.C:
			err = msg.InProgress()
		case <-retry.C:
			if _, why = o.try(ctx, msg); !held(why) {
				return o.open(ctx, msg)
			}
			if !stay(why) {
				return none, crowded(why)
			}
		}
	}
	return none, why
}

// crowded returns the refusal of a message that is not held any longer, because there is no room for it.
func crowded(why error) error {
	r, ok := errors.AsType[*refusal](why)
	if !ok {
		return why
	}
	out := *r
	out.crowded = true
	return &out
}

// over reports whether the message can no longer be acknowledged.
func over(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) ||
		errors.Is(err, jetstream.ErrMsgAlreadyAckd)
}
