package waybillgrpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// A token that does not fit beside what the caller sends stays here; the call does not fail because of it.
func TestTokenBesideLargeRequest(t *testing.T) {
	auth := authority(t)
	const limit = 8 << 10 // of the server, as that of other implementations
	for _, tt := range []struct {
		name  string
		key   string // of the caller's metadata
		bytes int
		creds int // bytes of the caller's credentials
		sent  bool
	}{
		{"small", "theirs", 10, 0, true},
		{"metadata, just fits", "theirs", 6600, 0, true},
		{"metadata", "theirs", 7300, 0, false},
		{"binary metadata, just fits", "theirs-bin", 4900, 0, true},
		{"binary metadata", "theirs-bin", 5500, 0, false},
		{"credentials, just fit", "theirs", 10, 6500, true},
		{"credentials", "theirs", 10, 7200, false},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+", "+kind.name, func(t *testing.T) {
				target := serve(t, func(ctx context.Context) error {
					if _, err := waybill.FromContext(ctx); err == nil {
						return waybill.Update(ctx, Seats.To(5))
					}
					return nil
				}, append(serverOptions(auth), grpc.MaxHeaderListSize(limit))...)
				var metrics meters
				client := dial(t, target, dialOptions(auth,
					waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
				creds := &perRPC{md: map[string]string{"authorization": strings.Repeat("x", tt.creds)}}
				ctx := start(t, auth, Seats.To(1))
				call := metadata.AppendToOutgoingContext(ctx, tt.key, strings.Repeat("x", tt.bytes))
				if _, err := kind.call(call, client, grpc.PerRPCCredentials(creds)); err != nil {
					t.Errorf("call: %v", err)
				}
				seats, _ := Seats.Get(ctx)
				counts, want := map[string]int64{"waybill.inject too_large": 1}, 1
				if tt.sent {
					counts, want = map[string]int64{"waybill.inject sent": 1, "waybill.return merged": 1}, 5
				}
				metrics.want(t, counts)
				if seats != want {
					t.Errorf("seats: got %d, want %d", seats, want)
				}
			})
		}
	}
}
