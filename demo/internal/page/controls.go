package page

import (
	"context"
	"errors"
	"net/url"
)

// Controls is what the buttons do. A method returns when its effect has begun, within a second. A longer effect goes on
// after that, and is seen in the snapshots. The context is the request's. All methods may be called at the same time.
type Controls interface {
	Kill(ctx context.Context, replica string) error // with SIGKILL; a random one that is up, if empty. It stays down
	Restart(ctx context.Context, replica string) error
	RollingRestart(ctx context.Context) error // of all replicas, a few at a time, in all lanes
	RotateKeys(ctx context.Context) error
	RevokeKey(ctx context.Context, kid string) error
	PauseBroker(ctx context.Context) error // for two seconds
	SetStore(ctx context.Context, on bool) error
	Show60(ctx context.Context) error

	NewJourney(ctx context.Context) error
	Step(ctx context.Context, step string, asked url.Values) error // returns when the step is done
	Tamper(ctx context.Context) error                              // with the visitor's token; the results are in the journey
	Replay(ctx context.Context) error
	SendAbroad(ctx context.Context) error

	// Report returns the report of the last show that is over, as JSON.
	Report(ctx context.Context) ([]byte, error)

	// Trace returns the spans of a trace, a parent before its children.
	Trace(ctx context.Context, id string) ([]Span, error)
}

// The errors of controls, wrapped with words that the visitor can read. Any other error is a fault of the demo.
var (
	ErrUnknown = errors.New("there is no such thing") // no such replica, key, step or trace
	ErrNotNow  = errors.New("not now")                // a show is running, there is no token yet, the key is gone, …
)
