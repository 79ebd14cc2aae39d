package waybilljetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrTerm is returned by a handler, alone or wrapped, whose message must not be delivered again.
var ErrTerm = errors.New("waybilljetstream: terminate the message")

// Settle acknowledges a message by the error of [JetStream.Open], or else of its handler:
//
//   - nil acks it.
//   - An error of Open, which refused the message, terminates it with a reason, after its copy was stored
//     under [DeadLetter], if that is set. If it is not set, and terminating would delete the message or may do
//     so, Settle naks it and returns an error, unless [AllowLoss] is set. A message that Open held until its
//     context ended is left to the server, which delivers it again after AckWait.
//   - [ErrTerm], wrapped or not, terminates it.
//   - Any other error naks it. The server delivers it again after 1 s, and after twice that each time, up to
//     1 min.
//
// A message that is settled already stays so, and is no error.
func (s *JetStream) Settle(ctx context.Context, msg jetstream.Msg, err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return s.refuse(ctx, msg, r)
	}
	return settle(msg, err)
}

// settle settles a message by the error of its handler.
func settle(msg jetstream.Msg, err error) error {
	switch {
	case err == nil:
		return once(msg.Ack())
	case errors.Is(err, ErrTerm):
		return once(msg.Term())
	default:
		return once(nak(msg))
	}
}

// refuse copies a refused message to the dead letters and terminates it. If the copy fails, the
// message is not terminated, nor is it if nothing would be left of it.
func (s *JetStream) refuse(ctx context.Context, msg jetstream.Msg, r *refusal) error {
	if r.held {
		return once(msg.InProgress())
	}
	if s.dead != "" {
		if err := s.copyDead(ctx, msg, r); err != nil {
			err = fmt.Errorf("waybilljetstream: no dead letter stored under %q, so the message is delivered again; "+
				"check that a stream has that subject: %w", s.dead, err)
			return errors.Join(err, once(nak(msg)))
		}
	} else if err := s.checkMessage(ctx, msg); err != nil {
		return errors.Join(err, once(nak(msg)))
	}
	return once(msg.TermWithReason(r.text()))
}

// once ignores the error that the message is settled already: nats.go noted that, and sent nothing.
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

// backoff returns the delay after a number of failed deliveries.
func backoff(delivered uint64) time.Duration {
	delay := firstDelay
	for ; delivered > 1 && delay < lastDelay; delivered-- {
		delay *= 2
	}
	return min(delay, lastDelay)
}
