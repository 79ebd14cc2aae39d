package waybillgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// Over TLS the waybill is sent, in plaintext only if that is allowed. The call itself goes through either way.
func TestPlaintext(t *testing.T) {
	auth := authority(t)
	serverTLS, clientTLS := certificate(t)
	var w wire
	handle := func(ctx context.Context) error {
		if _, err := waybill.FromContext(ctx); err == nil {
			return waybill.Update(ctx, Seats.To(5))
		}
		return nil
	}
	opts := append(w.options(), serverOptions(auth)...)
	secure := serve(t, handle, append(opts, grpc.Creds(credentials.NewTLS(serverTLS)))...)
	plain := serve(t, handle, opts...)
	pipe := bufconn.Listen(1 << 16)
	serveOn(t, pipe, handle, opts...)
	piped := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) })

	for _, tt := range []struct {
		name, target string
		opts         []waybillgrpc.ClientOption
		dial         grpc.DialOption
		sent         bool
	}{
		{"TLS", secure, nil, withTLS(clientTLS), true},
		{"plaintext", plain, nil, grpc.EmptyDialOption{}, false},
		{"plaintext, allowed", plain, []waybillgrpc.ClientOption{waybillgrpc.AllowPlaintext()}, grpc.EmptyDialOption{}, true},
		{"in-process", "passthrough:///bufconn", nil, piped, false},
		{"in-process, allowed", "passthrough:///bufconn", []waybillgrpc.ClientOption{waybillgrpc.AllowPlaintext()}, piped, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var metrics meters
			var log bytes.Buffer
			opts := append(tt.opts, waybillgrpc.MeterProvider(&metrics),
				waybillgrpc.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			client := dial(t, tt.target, append(dialOptions(auth, opts...), tt.dial)...)
			for i, kind := range kinds {
				ctx := start(t, auth, Seats.To(1))
				pinned := token(t, ctx)
				if _, err := kind.call(ctx, client); err != nil {
					t.Errorf("%s: %v", kind.name, err)
				}
				want, seats, n := [][]string{nil}, 1, int64(i+1)
				counts := map[string]int64{"waybill.inject suppressed": n}
				if tt.sent {
					want, seats = [][]string{{pinned}}, 5
					counts = map[string]int64{"waybill.inject sent": n, "waybill.return merged": n}
				}
				if got := w.take(waybill.Header); !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s: the wire has %d calls, the first with %d tokens; want the pinned token: %v",
						kind.name, len(got), len(slices.Concat(got...)), tt.sent)
				}
				if got, _ := Seats.Get(ctx); got != seats {
					t.Errorf("%s: got %d seats, want %d", kind.name, got, seats)
				}
				metrics.want(t, counts)
			}
			lines := strings.Count(log.String(), "\n")
			if tt.sent && lines != 0 || !tt.sent && (lines != 1 || !strings.Contains(log.String(), "destination="+tt.target)) {
				t.Errorf("log: got %q, want one line with the target for a waybill held back, else none", log.String())
			}
		})
	}
}

// perRPC are credentials of the caller.
type perRPC struct {
	md     map[string]string
	secure bool
	err    error
}

func (p *perRPC) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return p.md, p.err
}
func (p *perRPC) RequireTransportSecurity() bool { return p.secure }

// The caller's own credentials, of a call or a connection, work as they do without ours.
func TestCallerCredentials(t *testing.T) {
	auth := authority(t)
	serverTLS, clientTLS := certificate(t)
	var w wire
	handle := func(ctx context.Context) error { return nil }
	opts := append(w.options(), serverOptions(auth)...)
	secure := serve(t, handle, append(opts, grpc.Creds(credentials.NewTLS(serverTLS)))...)
	plain := serve(t, handle, opts...)

	theirs := &perRPC{md: map[string]string{"Authorization": "Bearer theirs"}, secure: true}
	stale := &perRPC{md: map[string]string{"Waybill": "stale", "authorization": "Bearer theirs"}}
	failing := &perRPC{err: status.Error(codes.Unauthenticated, "no login")}
	for _, tt := range []struct {
		name          string
		target        string
		dial          []grpc.DialOption
		call          []grpc.CallOption
		code          codes.Code
		authorization string
	}{
		{"of the call", secure, nil, []grpc.CallOption{grpc.PerRPCCredentials(theirs)}, codes.OK, "Bearer theirs"},
		{"of the connection", secure, []grpc.DialOption{grpc.WithPerRPCCredentials(theirs)}, nil,
			codes.OK, "Bearer theirs"},
		{"default of the connection", secure, []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(theirs))}, nil,
			codes.OK, "Bearer theirs"},
		{"the last of the call", secure, nil,
			[]grpc.CallOption{grpc.PerRPCCredentials(failing), grpc.PerRPCCredentials(theirs)}, codes.OK, "Bearer theirs"},
		{"with a token", secure, nil, []grpc.CallOption{grpc.PerRPCCredentials(stale)}, codes.OK, "Bearer theirs"},
		{"failing", secure, nil, []grpc.CallOption{grpc.PerRPCCredentials(failing)}, codes.Unauthenticated, ""},
		{"in need of TLS", plain, nil, []grpc.CallOption{grpc.PerRPCCredentials(theirs)}, codes.Unauthenticated, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := dialOptions(auth)
			if tt.target == secure {
				opts = append(opts, withTLS(clientTLS))
			}
			client := dial(t, tt.target, append(opts, tt.dial...)...)
			for _, kind := range kinds {
				ctx := start(t, auth)
				if _, err := kind.call(ctx, client, tt.call...); status.Code(err) != tt.code {
					t.Fatalf("%s: got %v, want %v", kind.name, err, tt.code)
				}
				var want [][]string
				if tt.code == codes.OK {
					want = [][]string{{tt.authorization, token(t, ctx)}}
				}
				w.mu.Lock()
				var got [][]string
				for _, md := range w.seen {
					got = append(got, slices.Concat(md["authorization"], md[waybill.Header]))
				}
				w.seen = nil
				w.mu.Unlock()
				if !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s: the wire has %d calls and %d values, want theirs and the token",
						kind.name, len(got), len(slices.Concat(got...)))
				}
			}
		})
	}
	if want := map[string]string{"Authorization": "Bearer theirs"}; !maps.Equal(theirs.md, want) {
		t.Errorf("the caller's map: got %v, want %v", theirs.md, want)
	}
}

// Credentials that we cannot see do what they do without us: those that an interceptor behind ours sets replace the token, and
// a token among those of the connection is a second one, which servers refuse.
func TestUnseenCredentials(t *testing.T) {
	auth := authority(t)
	serverTLS, clientTLS := certificate(t)
	var w wire
	target := serve(t, func(context.Context) error { return nil },
		append(append(w.options(), serverOptions(auth)...), grpc.Creds(credentials.NewTLS(serverTLS)))...)
	login := grpc.PerRPCCredentials(&perRPC{md: map[string]string{"authorization": "Bearer theirs"}})
	for _, tt := range []struct {
		name   string
		opt    grpc.DialOption
		code   codes.Code
		tokens int
	}{
		{"behind ours", grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
			cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, req, reply, cc, append(opts, login)...)
		}), codes.OK, 0},
		{"a token of the connection", grpc.WithPerRPCCredentials(&perRPC{md: map[string]string{waybill.Header: issue(t, auth)}}),
			codes.InvalidArgument, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := dial(t, target, append(dialOptions(auth), withTLS(clientTLS), tt.opt)...)
			if _, err := unary(start(t, auth), client); status.Code(err) != tt.code {
				t.Errorf("call: got %v, want %v", err, tt.code)
			}
			if got := w.take(waybill.Header); len(got) != 1 || len(got[0]) != tt.tokens {
				t.Errorf("the wire has %d calls with %d tokens, want 1 with %d", len(got), len(slices.Concat(got...)), tt.tokens)
			}
		})
	}
}

// A propagator that always injects puts its token beneath ours, once for each attempt. The wire has one token, and what it
// brings back is merged if it is the pinned one.
func TestInjectedBeneath(t *testing.T) {
	auth := authority(t)
	var w wire
	target := serve(t, func(ctx context.Context) error { return waybill.Update(ctx, Seats.To(5)) },
		append(w.options(), serverOptions(auth)...)...)
	for _, tt := range []struct {
		name  string
		newer bool
		seats int
		lost  error
	}{
		{"the pinned one", false, 5, nil},
		{"a newer one", true, 1, waybill.ErrStale},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := start(t, auth, Seats.To(1))
			injected := token(t, ctx)
			client := dial(t, target, append(dialOptions(auth, waybillgrpc.AllowPlaintext()),
				grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
					cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					if tt.newer {
						if err := waybill.Update(ctx, Cell.To("us-1")); err != nil {
							t.Error(err)
						}
						injected = token(t, ctx)
					}
					return invoke(metadata.AppendToOutgoingContext(ctx, waybill.Header, injected), method, req, reply, cc, opts...)
				}))...)
			if _, err := unary(ctx, client); err != nil {
				t.Error(err)
			}
			if got := w.take(waybill.Header); !slices.EqualFunc(got, [][]string{{injected}}, slices.Equal) {
				t.Errorf("the wire has %d calls with %d tokens, want 1 with the injected one", len(got), len(slices.Concat(got...)))
			}
			if seats, _ := Seats.Get(ctx); seats != tt.seats || !errors.Is(waybill.Lost(ctx), tt.lost) {
				t.Errorf("after the call: got %d seats, lost %v; want %d, %v", seats, waybill.Lost(ctx), tt.seats, tt.lost)
			}
		})
	}
}

// A connection that does not show itself, as those inside a process, is plaintext; and may not even be there.
func TestUnknownConnection(t *testing.T) {
	auth := authority(t)
	quiet := waybillgrpc.Logger(slog.New(slog.DiscardHandler))
	for _, allowed := range []bool{false, true} {
		opts := []waybillgrpc.ClientOption{quiet}
		if allowed {
			opts = append(opts, waybillgrpc.AllowPlaintext())
		}
		ctx := start(t, auth)
		want := map[string]string(nil)
		if allowed {
			want = map[string]string{waybill.Header: token(t, ctx), "waybill-hop": "1"}
		}
		interceptor := newClient(auth, opts...).UnaryInterceptor
		err := interceptor(ctx, "/test/Call", nil, nil, nil,
			func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
				for _, o := range opts {
					if o, ok := o.(grpc.PerRPCCredsCallOption); ok {
						if got, err := o.Creds.GetRequestMetadata(ctx); !maps.Equal(got, want) || err != nil {
							t.Errorf("allowed %v: got %d values (%v), want %d", allowed, len(got), err, len(want))
						}
						return nil
					}
				}
				return errors.New("no credentials")
			})
		if err != nil {
			t.Error(err)
		}
	}
}
