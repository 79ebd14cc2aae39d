package grpctest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
)

const retryPolicy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s",
	"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// attempts records the tokens that calls bring.
type attempts struct {
	mu     sync.Mutex
	tokens []string
}

func (a *attempts) record(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = append(a.tokens, incoming(ctx, waybill.Header)...)
}

func (a *attempts) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.tokens)
}

// An update does not end gRPC's own retries, as a header does. Every attempt brings the token of the call, though the caller's
// waybill changes meanwhile, and the last one's update is merged. Behind net/http, gRPC itself sends a header before each
// answer: there, a call has one attempt, with and without us.
func TestAttempts(t *testing.T) {
	for _, kind := range calls {
		for _, tt := range []struct {
			name     string
			server   int
			handler  func(ctx context.Context) error // before it fails
			attempts int
		}{
			{"Serve", 0, nil, 3},
			{"ServeHTTP", 1, nil, 1},
			{"Serve-with-header", 0, func(ctx context.Context) error { return grpc.SetHeader(ctx, metadata.Pairs("theirs", "1")) }, 1},
		} {
			t.Run(kind.name+"/"+tt.name, func(t *testing.T) {
				auth := authority(t)
				ctx, err := auth.Start(t.Context(), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				pinned := token(t, ctx)
				var got attempts
				p := servers[tt.server].start(t, &fourKinds{silent: true, handle: func(hop context.Context) error {
					n := len(got.seen())
					err := errors.Join(
						waybill.Update(hop, Seats.To(10*n)),
						waybill.Update(ctx, Cell.To(fmt.Sprint("attempt-", n)))) // the caller's
					if tt.handler != nil {
						err = errors.Join(err, tt.handler(hop))
					}
					if err != nil {
						t.Error(err)
					}
					if n < 3 {
						return status.Error(codes.Unavailable, "not now")
					}
					return nil
				}}, append(lookedAt(got.record), serverOptions(auth)...)...)
				end, err := kind.begin(ctx, dialTLS(t, auth, p, grpc.WithDefaultServiceConfig(retryPolicy)))
				if err != nil {
					t.Fatal(err)
				}
				code := codes.OK
				if tt.attempts < 3 {
					code = codes.Unavailable
				}
				if err := end(); status.Code(err) != code {
					t.Errorf("call: got %v, want %v", err, code)
				}
				if got, want := got.seen(), slices.Repeat([]string{pinned}, tt.attempts); !slices.Equal(got, want) {
					t.Errorf("got %d attempts with a token, want %d, each with the pinned one", len(got), len(want))
				}
				seats, _ := Seats.Get(ctx)
				cell, _ := Cell.Get(ctx)
				if want := fmt.Sprint("attempt-", tt.attempts); seats != 10*tt.attempts || cell != want {
					t.Errorf("after the call: got %d seats, cell %s, want %d, %s; lost: %v",
						seats, cell, 10*tt.attempts, want, waybill.Lost(ctx))
				}
			})
		}
	}
}
