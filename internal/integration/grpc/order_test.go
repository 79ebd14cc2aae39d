package grpctest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
)

// Retry middleware behind ours is one call, with one token. Before ours, each attempt is a call of its own, which takes along
// what the one before has changed.
func TestRetryMiddleware(t *testing.T) {
	auth := authority(t)
	backoff := retry.WithBackoff(func(context.Context, uint) time.Duration { return time.Millisecond })
	retries := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(retry.UnaryClientInterceptor(retry.WithMax(4), backoff)),
		grpc.WithChainStreamInterceptor(retry.StreamClientInterceptor(retry.WithMax(4), backoff)),
	}
	ours := dialOptions(auth, allow)
	for _, kind := range calls {
		if kind.name != "unary" && kind.name != "server-stream" {
			continue // the middleware retries no others
		}
		for _, tt := range []struct {
			name  string
			opts  []grpc.DialOption
			calls int64
		}{
			{"behind-ours", slices.Concat(ours, retries), 1},
			{"before-ours", slices.Concat(retries, ours), 3},
		} {
			t.Run(kind.name+"/"+tt.name, func(t *testing.T) {
				var got attempts
				target := serveOn(t, &fourKinds{silent: true, handle: func(ctx context.Context) error {
					n := len(got.seen())
					if err := waybill.Update(ctx, Seats.To(10*n)); err != nil {
						t.Error(err)
					}
					if n < 3 {
						return status.Error(codes.Unavailable, "not now")
					}
					return nil
				}}, append(lookedAt(got.record), serverOptions(auth)...)...)
				ctx, err := auth.Start(t.Context(), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				before := counts(t)
				end, err := kind.begin(ctx, dial(t, target, tt.opts...))
				if err == nil {
					err = end()
				}
				if err != nil {
					t.Errorf("call: %v", err)
				}
				tokens := got.seen()
				slices.Sort(tokens)
				if n := len(slices.Compact(tokens)); len(tokens) != 3 || n != int(tt.calls) {
					t.Errorf("got %d attempts with %d tokens, want 3 with %d", len(tokens), n, tt.calls)
				}
				if seats, _ := Seats.Get(ctx); seats != 30 {
					t.Errorf("seats: got %d, want 30; lost: %v", seats, waybill.Lost(ctx))
				}
				since(t, before, map[string]int64{
					"waybill.open ok": 3, "waybill.return answered": 3,
					"waybill.inject sent": tt.calls, "waybill.return merged": tt.calls,
				})
			})
		}
	}
}

// Recovery before ours lets a panic discard the changes of its call. Behind ours it has made an error of it, which brings them
// back as any other.
func TestRecovery(t *testing.T) {
	auth := authority(t)
	recovers := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(recovery.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(recovery.StreamServerInterceptor()),
	}
	ours := serverOptions(auth)
	for _, kind := range calls {
		for _, tt := range []struct {
			name  string
			opts  []grpc.ServerOption
			seats int
		}{
			{"before-ours", slices.Concat(recovers, ours), 1},
			{"behind-ours", slices.Concat(ours, recovers), 5},
		} {
			t.Run(kind.name+"/"+tt.name, func(t *testing.T) {
				target := serveOn(t, &fourKinds{handle: func(ctx context.Context) error {
					change(t, ctx)
					panic("a handler's bug")
				}}, tt.opts...)
				ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				end, err := kind.begin(ctx, dial(t, target, dialOptions(auth, allow)...))
				if err == nil {
					err = end()
				}
				if status.Code(err) != codes.Unknown && status.Code(err) != codes.Internal {
					t.Errorf("call: got %v, want the error that recovery makes of a panic", err)
				}
				seats, _ := Seats.Get(ctx)
				if booked, _ := Booked.Get(ctx); seats != tt.seats || booked {
					t.Errorf("after the call: got %d seats, booked %v, want %d, not booked", seats, booked, tt.seats)
				}
			})
		}
	}
}
