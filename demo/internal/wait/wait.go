// Package wait waits for a time, and for calls.
package wait

import (
	"context"
	"errors"
	"sync"
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

// All runs calls side by side, waits for all, and returns their errors, joined.
func All(calls ...func() error) error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
