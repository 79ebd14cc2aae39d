package natskv

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// OldestMessage returns a function for [keyring.NeededSince]. It returns the time of the oldest
// message in any of the streams, or the zero time if they are empty. Pass the streams whose
// messages carry waybills. If one of them cannot be read, the function returns an error and no key
// is kept longer, so watch the log for it within a Horizon. It needs permission to publish to
// $JS.API.STREAM.INFO and the name of each stream.
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
