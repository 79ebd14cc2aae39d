// Package grant is the permission, for one outgoing call, to put the waybill on the wire. Package waybill gives it, the
// propagator takes it.
package grant

import (
	"context"
	"sync/atomic"
)

// Grant is good for one use. The nil Grant is good for none.
type Grant struct{ used atomic.Bool }

type key struct{}

// NewContext returns ctx with a fresh Grant. It hides an outer one.
func NewContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, new(Grant))
}

// From returns the Grant in ctx, used or not, or nil.
func From(ctx context.Context) *Grant {
	g, _ := ctx.Value(key{}).(*Grant)
	return g
}

// Take uses the grant, and reports whether it was there to be used. Of concurrent callers one succeeds.
func (g *Grant) Take() bool { return g != nil && g.used.CompareAndSwap(false, true) }
