package watch

import (
	"context"
	"sync/atomic"
)

type cutKey struct{}

// CountCuts returns a context that counts the calls made in it that were cut off by the death of the callee.
func CountCuts(ctx context.Context) (context.Context, *atomic.Int64) {
	n := new(atomic.Int64)
	return context.WithValue(ctx, cutKey{}, n), n
}

// Cut counts one.
func Cut(ctx context.Context) {
	if n, ok := ctx.Value(cutKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}
