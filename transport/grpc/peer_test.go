package waybillgrpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// peerIs approves of the service with a SPIFFE ID, and of no other.
func peerIs(id string) waybillgrpc.ClientOption {
	return waybillgrpc.OnlyPeers(func(peer credentials.TLSInfo) bool {
		return peer.SPIFFEID != nil && peer.SPIFFEID.String() == id && len(peer.State.VerifiedChains) == 1
	})
}

// The waybill goes to the peer that is approved of by its certificate, whatever the name that led there. To any other, and to
// one that has none to show, the call goes without.
func TestOnlyPeers(t *testing.T) {
	auth := authority(t)
	serverTLS, clientTLS := certificate(t)
	var w wire
	handle := func(context.Context) error { return nil }
	opts := append(w.options(), serverOptions(auth)...)
	secure := serve(t, handle, append(opts, grpc.Creds(credentials.NewTLS(serverTLS)))...)
	plain := serve(t, handle, opts...)
	for _, tt := range []struct {
		name, target string
		peer         string
		why          string // it is held back, or ""
	}{
		{"approved", secure, "spiffe://shop.internal/pricing", ""},
		{"another", secure, "spiffe://shop.internal/stock", "OnlyPeers does not approve the peer"},
		{"plaintext", plain, "spiffe://shop.internal/pricing", "the connection has no privacy and integrity; use TLS, or AllowPlaintext in a trusted network"},
	} {
		for _, allow := range []bool{false, true} {
			name := tt.name
			var log bytes.Buffer
			opts := []waybillgrpc.ClientOption{peerIs(tt.peer), waybillgrpc.Logger(slog.New(slog.NewTextHandler(&log, nil)))}
			if allow {
				name += ", plaintext allowed"
				opts = append(opts, waybillgrpc.AllowPlaintext())
			}
			t.Run(name, func(t *testing.T) {
				var metrics meters
				dialOpts := dialOptions(auth, append(opts, waybillgrpc.MeterProvider(&metrics))...)
				if tt.target == secure {
					dialOpts = append(dialOpts, withTLS(clientTLS))
				}
				client := dial(t, tt.target, dialOpts...)
				for i, kind := range kinds {
					ctx := start(t, auth)
					if _, err := kind.call(ctx, client); err != nil {
						t.Errorf("%s: %v", kind.name, err)
					}
					want, outcome := [][]string{{token(t, ctx)}}, "sent"
					if tt.why != "" {
						want, outcome = [][]string{nil}, "suppressed"
					}
					if got := w.take(waybill.Header); !slices.EqualFunc(got, want, slices.Equal) {
						t.Errorf("%s: the wire has %d calls with %d tokens, want 1 that is %s",
							kind.name, len(got), len(slices.Concat(got...)), outcome)
					}
					metrics.want(t, map[string]int64{"waybill.inject " + outcome: int64(i + 1)})
				}
				if got := log.String(); (got == "") != (tt.why == "") || !strings.Contains(got, tt.why) {
					t.Errorf("log: got %q, want it to say %q", got, tt.why)
				}
			})
		}
	}
}

// Each attempt of a call is judged by the connection that it travels on.
func TestOnlyPeersOfEachAttempt(t *testing.T) {
	auth := authority(t)
	serverTLS, clientTLS := certificate(t)
	var w wire
	target := serve(t, func(context.Context) error { return status.Error(codes.Unavailable, "not now") },
		append(append(w.options(), serverOptions(auth)...), grpc.Creds(credentials.NewTLS(serverTLS)))...)
	var mu sync.Mutex
	asked := 0
	client := dial(t, target, append(dialOptions(auth,
		waybillgrpc.Logger(slog.New(slog.DiscardHandler)),
		waybillgrpc.OnlyPeers(func(credentials.TLSInfo) bool {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return asked%2 == 1
		})), withTLS(clientTLS), grpc.WithDefaultServiceConfig(retryPolicy))...)
	ctx := start(t, auth)
	if _, err := unary(ctx, client); status.Code(err) != codes.Unavailable {
		t.Errorf("call: got %v, want %v", err, codes.Unavailable)
	}
	pinned := []string{token(t, ctx)}
	if got, want := w.take(waybill.Header), [][]string{pinned, nil, pinned, nil}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %d attempts with %d tokens, want 4, the first and the third with one", len(got), len(slices.Concat(got...)))
	}
}
