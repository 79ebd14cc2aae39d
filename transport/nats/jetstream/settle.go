package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrTerm is for a handler that wants its message never to be delivered again, alone or wrapped.
var ErrTerm = errors.New("waybilljetstream: terminate the message")

// Settle acknowledges a message that was opened and handled, with the error of [Open] or else of its handler:
//
//   - nil acks it.
//   - An error of Open, which refused the message, terminates it with a reason, after a copy has gone to [DeadLetter],
//     if that is set. A message that Open held until its context ended is left to the server, which delivers it again
//     after AckWait.
//   - [ErrTerm], wrapped or not, terminates it.
//   - Any other error naks it. It is delivered again after 1 s, and after twice that each time, up to 1 min.
//
// What was settled before stays, and is no error.
func Settle(ctx context.Context, msg jetstream.Msg, err error, opts ...Option) error {
	c, cerr := newConfig(opts)
	if cerr != nil {
		return cerr
	}
	return c.settle(ctx, msg, err)
}

func (c *config) settle(ctx context.Context, msg jetstream.Msg, err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return c.refuse(ctx, msg, r)
	}
	return answer(msg, err)
}

// answer settles a message as its handler says.
func answer(msg jetstream.Msg, err error) error {
	switch {
	case err == nil:
		return once(msg.Ack())
	case errors.Is(err, ErrTerm):
		return once(msg.Term())
	default:
		return once(nak(msg))
	}
}

// refuse keeps a copy of a message and terminates it. Without the copy that it was told to keep, it does not.
func (c *config) refuse(ctx context.Context, msg jetstream.Msg, r *refusal) error {
	if r.held {
		return once(msg.InProgress())
	}
	if c.dead != nil {
		if err := c.keep(ctx, msg, r); err != nil {
			err = fmt.Errorf("waybilljetstream: no dead letter, the message is delivered again: %w", err)
			return errors.Join(err, once(nak(msg)))
		}
	}
	return once(msg.TermWithReason(r.text()))
}

// once takes it for no error that a message is settled already: nats.go notes that, and sends nothing.
func once(err error) error {
	if errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		return nil
	}
	return err
}

// The delays after which a message is delivered again.
const (
	firstDelay = time.Second
	lastDelay  = time.Minute
)

func nak(msg jetstream.Msg) error {
	delivered := uint64(1)
	if meta, err := msg.Metadata(); err == nil {
		delivered = meta.NumDelivered
	}
	return msg.NakWithDelay(backoff(delivered))
}

// backoff returns the delay after a number of deliveries that failed.
func backoff(delivered uint64) time.Duration {
	delay := firstDelay
	for ; delivered > 1 && delay < lastDelay; delivered-- {
		delay *= 2
	}
	return min(delay, lastDelay)
}
