package rpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill/demo/internal/watch"
)

// attempts counts calls that were cut off by the death of a replica. gRPC repeats them, and nobody else would notice.
type attempts struct{}

type attempt struct{ sent, answered atomic.Bool }

type attemptKey struct{}

// TagRPC implements stats.Handler.
func (attempts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, attemptKey{}, new(attempt))
}

// HandleRPC implements stats.Handler.
func (attempts) HandleRPC(ctx context.Context, s stats.RPCStats) {
	a := ctx.Value(attemptKey{}).(*attempt)
	switch s := s.(type) {
	case *stats.OutHeader:
		a.sent.Store(true)
	case *stats.InTrailer:
		a.answered.Store(true)
	case *stats.End:
		if status.Code(s.Error) == codes.Unavailable && a.sent.Load() && !a.answered.Load() {
			watch.Cut(ctx)
		}
	}
}

// TagConn implements stats.Handler.
func (attempts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (attempts) HandleConn(context.Context, stats.ConnStats) {}
