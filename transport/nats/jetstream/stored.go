package waybilljetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// original returns when the original of a dead letter was stored. ok is false if messages are not
// dead letters, or if this one reports no time, or a time after its own.
func (o *opener) original(msg jetstream.Msg, meta *jetstream.MsgMetadata) (stored time.Time, ok bool) {
	if !o.letters {
		return time.Time{}, false
	}
	values := header.Values(msg.Headers(), HeaderStored)
	if len(values) != 1 {
		return time.Time{}, false
	}
	stored, err := time.Parse(time.RFC3339Nano, values[0])
	return stored, err == nil && !stored.After(meta.Timestamp)
}

// The headers of messages that the server itself stored in a stream.
const (
	headerSource    = "Nats-Stream-Source"
	headerScheduler = "Nats-Scheduler"
)

// expiredSpan returns how long before its message was stored a token may have expired. A dead
// letter has the original's headers under other names.
func (s *JetStream) expiredSpan(h nats.Header, stream string, letter bool) time.Duration {
	prefix := ""
	if letter {
		prefix = HeaderOriginal
	}
	if h[prefix+headerSource] == nil && h[prefix+headerScheduler] == nil {
		return 0
	}
	return s.expired[stream]
}

// receive opens a message at its stored time, or else at a time up to span before, at which it is
// valid.
func (s *JetStream) receive(ctx context.Context, values []string, stored time.Time,
	span time.Duration) delivery {
	var d delivery
	d.ctx, d.hop = s.auth.ReceiveAt(ctx, values, stored)
	// When a token is valid is known only after it has been verified at some time, so bisect the
	// span. That takes at most 20 steps for a week.
	first, at := d, stored
	for from, to := stored.Add(-span), stored; to.Sub(from) >= time.Second; {
		switch err := d.hop.Err(); {
		case errors.Is(err, waybill.ErrExpired):
			to = at
		case errors.Is(err, waybill.ErrNotYetValid) && at != stored:
			from = at
		default:
			return d
		}
		at = from.Add(to.Sub(from) / 2)
		d.ctx, d.hop = s.auth.ReceiveAt(ctx, values, at)
	}
	return first
}
