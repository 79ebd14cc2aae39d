// Package wait waits, and can be interrupted.
package wait

import (
	"context"
	"time"
)

// For waits for a time. It returns earlier, with the cause, if ctx ends.
func For(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
