package waybilljetstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// noted returns when the original of a dead letter was stored, if msg is one to redrive, and says so. A time later
// than its own is none.
func (c *config) noted(msg jetstream.Msg, meta *jetstream.MsgMetadata) (stored time.Time, ok bool) {
	if !slices.Contains(c.letters, meta.Stream) {
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

// graceOf returns how long before its stored time a message may have been published. A dead letter has the original's
// headers under other names.
func (c *config) graceOf(h nats.Header, stream string, letter bool) time.Duration {
	prefix := ""
	if letter {
		prefix = HeaderOriginal
	}
	if h[prefix+headerSource] == nil && h[prefix+headerScheduler] == nil {
		return 0
	}
	return c.grace[stream]
}

// receive opens a message as of the time at which it was stored, or else of one up to grace before at which it is valid.
func (o *opener) receive(ctx context.Context, values []string, stored time.Time, grace time.Duration) delivery {
	var d delivery
	d.ctx, d.hop = o.auth.ReceiveAt(ctx, values, stored)
	// When a token is valid cannot be read before it is verified, as of some time: halve the span until one fits. That
	// takes at most 20 steps for a week.
	first, at := d, stored
	for from, to := stored.Add(-grace), stored; to.Sub(from) >= time.Second; {
		switch err := d.hop.Err(); {
		case errors.Is(err, waybill.ErrExpired):
			to = at
		case errors.Is(err, waybill.ErrNotYetValid) && at != stored:
			from = at
		default:
			return d
		}
		at = from.Add(to.Sub(from) / 2)
		d.ctx, d.hop = o.auth.ReceiveAt(ctx, values, at)
	}
	return first
}
