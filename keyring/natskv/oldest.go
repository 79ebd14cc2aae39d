package natskv

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// OldestMessage returns what [keyring.NeededSince] asks: the time of the oldest message in any of the streams, which are
// those whose messages carry waybills; the zero time if they are empty. If one of them cannot be read the answer is an
// error, and then no key is kept: let that be seen in the log before a Horizon has passed. It needs the permission to
// publish to $JS.API.STREAM.INFO and the stream's name.
func OldestMessage(nc *nats.Conn, streams ...string) (func(context.Context) (time.Time, error), error) {
	if nc == nil {
		return nil, errNoConnection
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	return func(ctx context.Context) (oldest time.Time, err error) {
		for _, name := range streams {
			stream, err := js.Stream(ctx, name)
			if err != nil {
				return time.Time{}, fmt.Errorf("natskv: stream %q: %w", name, err)
			}
			state := stream.CachedInfo().State
			if state.Msgs > 0 && (oldest.IsZero() || state.FirstTime.Before(oldest)) {
				oldest = state.FirstTime
			}
		}
		return oldest, nil
	}, nil
}
