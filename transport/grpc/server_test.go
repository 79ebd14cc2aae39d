package waybillgrpc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	"github.com/waybill-go/waybill/waybilltest"
)

// bearing returns the context of a client without our interceptors, with these values in its metadata.
func bearing(t *testing.T, values ...string) context.Context {
	ctx := t.Context()
	for _, v := range values {
		ctx = metadata.AppendToOutgoingContext(ctx, waybill.Header, v)
	}
	return ctx
}

func issue(t *testing.T, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

// forged returns a token whose signature does not match.
func forged(token string) string { return token[:len(token)-4] + "AAAA" }

// foreign returns a token of a domain, under a key that is not in the ring of the tests.
func foreign(t *testing.T, domain string) string {
	t.Helper()
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	set, err := keyring.NewSet(domain, key)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := waybill.New(domain, keyring.NewRing(set))
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, auth)
}

func TestRefusals(t *testing.T) {
	auth := authority(t)
	keyless, err := waybill.New(waybilltest.Domain, keyring.NewRing(nil))
	if err != nil {
		t.Fatal(err)
	}
	good := issue(t, auth, Cell.To("eu-3"))
	past := waybill.Clock(func() time.Time { return time.Now().Add(-time.Hour) })
	require := []waybillgrpc.ServerOption{waybillgrpc.Required()}
	for _, tt := range []struct {
		name   string
		auth   *waybill.Authority
		opts   []waybillgrpc.ServerOption
		values []string
		code   codes.Code
		reason string
	}{
		{"absent", auth, nil, nil, codes.OK, ""},
		{"absent, required", auth, require, nil, codes.Unauthenticated, "absent"},
		{"good", auth, require, []string{good}, codes.OK, ""},
		{"expired", auth, nil, []string{issue(t, authority(t, past))}, codes.Unauthenticated, "expired"},
		{"forged", auth, nil, []string{forged(good)}, codes.Unauthenticated, "forged"},
		{"unknown key", auth, nil, []string{foreign(t, waybilltest.Domain)}, codes.Unauthenticated, "unknown_key"},
		{"protection", auth, nil, []string{issue(t, authority(t, waybill.Protect(waybill.Sealed)))}, codes.Unauthenticated, "protection"},
		{"malformed", auth, nil, []string{"no token"}, codes.InvalidArgument, "malformed"},
		{"joined", auth, nil, []string{good + ", " + good}, codes.InvalidArgument, "malformed"},
		{"empty", auth, nil, []string{""}, codes.InvalidArgument, "malformed"},
		{"two values", auth, nil, []string{good, good}, codes.InvalidArgument, "ambiguous"},
		{"too large", auth, nil, []string{strings.Repeat("x", waybill.DefaultAcceptLimit+1)}, codes.InvalidArgument, "too_large"},
		{"no keys", keyless, nil, []string{good}, codes.Unavailable, "no_key"},
		{"claim there", auth, []waybillgrpc.ServerOption{waybillgrpc.RequireClaims(Cell)}, []string{good}, codes.OK, ""},
		{"claim missing", auth, []waybillgrpc.ServerOption{waybillgrpc.RequireClaims(Cell, Seats)}, []string{good},
			codes.PermissionDenied, "missing_claim"},
		{"claim missing, no waybill", auth, []waybillgrpc.ServerOption{waybillgrpc.RequireClaims(Cell)}, nil,
			codes.Unauthenticated, "absent"},
		{"observed, absent", auth, []waybillgrpc.ServerOption{waybillgrpc.Required(), waybillgrpc.ReportOnly()}, nil, codes.OK, ""},
		{"observed, forged", auth, []waybillgrpc.ServerOption{waybillgrpc.ReportOnly()}, []string{forged(good)}, codes.OK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ran atomic.Int32
			client := dial(t, serve(t, func(ctx context.Context) error {
				ran.Add(1)
				return nil
			}, serverOptions(tt.auth, tt.opts...)...))
			for i, kind := range kinds {
				_, err := kind.call(bearing(t, tt.values...), client)
				st := status.Convert(err)
				if st.Code() != tt.code {
					t.Errorf("%s: got %v, want %v", kind.name, st.Code(), tt.code)
				}
				want := 0
				if tt.code == codes.OK {
					want = i + 1
				} else {
					refused(t, st, tt.reason)
				}
				if got := int(ran.Load()); got != want {
					t.Errorf("%s: the handler has run %d times, want %d", kind.name, got, want)
				}
			}
		})
	}
}

// refused checks that a status tells the reason, and nothing else.
func refused(t *testing.T, st *status.Status, reason string) {
	t.Helper()
	message := "waybill refused: " + reason
	if reason == "absent" {
		message += "; a caller in Go sends the waybill of its context with the DialOptions of waybillgrpc.NewClient"
	}
	if st.Message() != message {
		t.Errorf("message: got %q, want %q", st.Message(), message)
	}
	want := &errdetails.ErrorInfo{Reason: reason, Domain: waybillgrpc.ErrorDomain}
	details := st.Details()
	if len(details) != 1 {
		t.Fatalf("details: got %v, want %v", details, want)
	}
	if got, ok := details[0].(*errdetails.ErrorInfo); !ok || !proto.Equal(got, want) {
		t.Errorf("detail: got %v, want %v", details[0], want)
	}
}

// What the wire brought is not in the metadata that a handler may copy into a call of its own.
func TestHandlerSeesNoToken(t *testing.T) {
	auth := authority(t)
	good := issue(t, auth, Cell.To("eu-3"))
	all := func(string) bool { return true }
	for _, tt := range []struct {
		name    string
		opts    []waybillgrpc.ServerOption
		token   []string
		update  bool
		visible bool // the claims
	}{
		{"token", nil, []string{good}, false, true},
		{"update", nil, nil, true, false},
		{"both", nil, []string{good}, true, true},
		{"neither", nil, nil, false, false},
		{"observed", []waybillgrpc.ServerOption{waybillgrpc.ReportOnly()}, []string{good, good}, true, false},
		{"skipped", []waybillgrpc.ServerOption{waybillgrpc.Skip(all), waybillgrpc.Required()}, []string{good}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := dial(t, serve(t, func(ctx context.Context) error {
				md, _ := metadata.FromIncomingContext(ctx)
				if md[waybill.Header] != nil || md[waybill.HeaderReturn] != nil {
					t.Error("the handler sees a token in its metadata")
				}
				if got := md["theirs"]; !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("other metadata: got %v, want [1 2]", got)
				}
				if cell, _ := Cell.Get(ctx); (cell == "eu-3") != tt.visible {
					t.Errorf("cell: got %q, with claims that are visible: %v", cell, tt.visible)
				}
				return nil
			}, serverOptions(auth, tt.opts...)...))
			for _, kind := range kinds {
				ctx := metadata.AppendToOutgoingContext(bearing(t, tt.token...), "theirs", "1", "theirs", "2")
				if tt.update {
					ctx = metadata.AppendToOutgoingContext(ctx, waybill.HeaderReturn, good)
				}
				if _, err := kind.call(ctx, client); err != nil {
					t.Errorf("%s: %v", kind.name, err)
				}
			}
		})
	}
}

// Methods are skipped by their full names.
func TestSkip(t *testing.T) {
	auth := authority(t)
	skip := waybillgrpc.Skip(func(method string) bool { return method == "/grpc.testing.TestService/UnaryCall" })
	handle := func(context.Context) error { return nil }
	opts := serverOptions(auth, waybillgrpc.Required(), skip)
	for name, client := range map[string]grpc_testing.TestServiceClient{
		"once":       dial(t, serve(t, handle, opts...)),
		"twice":      dial(t, serve(t, handle, append(opts, opts...)...)),
		"inner only": dial(t, serve(t, handle, append(serverOptions(auth), opts...)...)),
	} {
		for _, kind := range kinds {
			want := codes.Unauthenticated
			if kind.name == "unary" {
				want = codes.OK
			}
			if _, err := kind.call(t.Context(), client); status.Code(err) != want {
				t.Errorf("%s, %s: got %v, want %v", kind.name, name, status.Code(err), want)
			}
		}
	}
}

// However often the interceptors stand in the chain, a call is opened, counted and answered once. Each holds to its policy.
func TestNested(t *testing.T) {
	auth := authority(t)
	var metrics meters
	opts := slices.Concat(
		serverOptions(auth, waybillgrpc.MeterProvider(&metrics)),
		serverOptions(auth, waybillgrpc.MeterProvider(&metrics), waybillgrpc.RequireClaims(Cell)))
	target := serve(t, func(ctx context.Context) error { return waybill.Update(ctx, Seats.To(5)) }, opts...)
	dialOpts := dialOptions(auth, waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))
	client := dial(t, target, append(dialOpts, dialOpts...)...)
	for i, kind := range kinds {
		ctx := start(t, auth, Cell.To("eu-3"), Seats.To(1))
		if _, err := kind.call(ctx, client); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		if seats, _ := Seats.Get(ctx); seats != 5 {
			t.Errorf("%s: got %d seats, want 5; lost: %v", kind.name, seats, waybill.Lost(ctx))
		}
		n := int64(i + 1)
		metrics.want(t, map[string]int64{
			"waybill.inject sent": n, "waybill.open ok": n, "waybill.return answered": n, "waybill.return merged": n,
		})
	}
	for _, kind := range kinds {
		if _, err := kind.call(start(t, auth), client); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s, without the claim: got %v, want %v", kind.name, status.Code(err), codes.PermissionDenied)
		}
	}
}

// transportStream is the call of a server inside this process.
type transportStream struct{ trailer metadata.MD }

func (s *transportStream) Method() string                  { return "/test/Call" }
func (s *transportStream) SetHeader(metadata.MD) error     { return errors.New("no headers") }
func (s *transportStream) SendHeader(metadata.MD) error    { return errors.New("no headers") }
func (s *transportStream) SetTrailer(md metadata.MD) error { s.trailer = md; return nil }

// inProcess makes a call inside the process, and returns its trailer.
func inProcess(
	ctx context.Context, interceptor grpc.UnaryServerInterceptor, token string, handle func(ctx context.Context) error,
) (metadata.MD, error) {
	var stream transportStream
	ctx = grpc.NewContextWithServerTransportStream(ctx, &stream)
	ctx = metadata.NewIncomingContext(ctx, metadata.MD{})
	if token != "" {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(waybill.Header, token))
	}
	_, err := interceptor(ctx, nil, &grpc.UnaryServerInfo{FullMethod: stream.Method()},
		func(ctx context.Context, _ any) (any, error) { return nil, handle(ctx) })
	return stream.trailer, err
}

// A call that inherits the context of a hop that another transport answers for is a hop of its own, with the same token too.
func TestHopOfAnother(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Seats.To(1))
	ctx, hop := auth.Receive(t.Context(), []string{token}, nil)
	trailer, err := inProcess(ctx, newServer(auth).UnaryInterceptor, token, func(ctx context.Context) error {
		return waybill.Update(ctx, Seats.To(5))
	})
	if err != nil || len(trailer[waybill.HeaderReturn]) != 1 {
		t.Errorf("trailer: got %d updates (%v), want one", len(trailer[waybill.HeaderReturn]), err)
	}
	if hop.Commit(waybill.Succeeded) != nil {
		t.Error("the other transport: got an update, want none")
	}
}

// A call inside the process may inherit the context of the call that makes it. It is a hop of its own.
func TestInheritedContext(t *testing.T) {
	auth := authority(t)
	interceptor := newServer(auth, waybillgrpc.Required()).UnaryInterceptor
	serve := func(ctx context.Context, token string, handle func(ctx context.Context) error) (metadata.MD, error) {
		return inProcess(ctx, interceptor, token, handle)
	}
	outer, err := serve(t.Context(), issue(t, auth, Seats.To(1)), func(ctx context.Context) error {
		if _, err := serve(ctx, "", func(context.Context) error { return nil }); status.Code(err) != codes.Unauthenticated {
			t.Errorf("inner call without a waybill: got %v, want %v", err, codes.Unauthenticated)
		}
		inner, err := serve(ctx, issue(t, auth, Seats.To(2)), func(ctx context.Context) error {
			if seats, _ := Seats.Get(ctx); seats != 2 {
				t.Errorf("inner call: got %d seats, want its own 2", seats)
			}
			return waybill.Update(ctx, Seats.To(3))
		})
		if err != nil || len(inner[waybill.HeaderReturn]) != 1 {
			t.Errorf("inner call: got %d updates (%v), want 1", len(inner[waybill.HeaderReturn]), err)
		}
		if seats, _ := Seats.Get(ctx); seats != 1 {
			t.Errorf("outer call: got %d seats, want its own 1", seats)
		}
		return nil
	})
	if err != nil || len(outer[waybill.HeaderReturn]) != 0 {
		t.Errorf("outer call: got %d updates (%v), want none", len(outer[waybill.HeaderReturn]), err)
	}
}

// A panic sends nothing back, whatever recovers outside of ours turns it into, and the hop is over.
func TestPanic(t *testing.T) {
	auth := authority(t)
	caught := status.Error(codes.Internal, "recovered")
	var hop context.Context
	client := dial(t, serve(t, func(ctx context.Context) error {
		hop = ctx
		if err := waybill.Update(ctx, Seats.To(5)); err != nil {
			t.Error(err)
		}
		panic("a handler's bug")
	}, append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(
			ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
		) (_ any, err error) {
			defer func() {
				if r := recover(); r == "a handler's bug" {
					err = caught
				}
			}()
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(
			srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler,
		) (err error) {
			defer func() {
				if r := recover(); r == "a handler's bug" {
					err = caught
				}
			}()
			return handle(srv, ss)
		}),
	}, serverOptions(auth)...)...), dialOptions(auth, waybillgrpc.AllowPlaintext())...)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			ctx := start(t, auth, Seats.To(1))
			if _, err := kind.call(ctx, client); status.Code(err) != codes.Internal || status.Convert(err).Message() != "recovered" {
				t.Errorf("call: got %v, want %v", err, caught)
			}
			if seats, _ := Seats.Get(ctx); seats != 1 {
				t.Errorf("seats: got %d, want 1", seats)
			}
			if err := waybill.Update(hop, Seats.To(6)); !errors.Is(err, waybill.ErrCommitted) {
				t.Errorf("change after the panic: got %v, want %v", err, waybill.ErrCommitted)
			}
		})
	}
}

// A job that outlives its call learns that a change would be lost.
func TestChangeAfterAnswer(t *testing.T) {
	auth := authority(t)
	var hop context.Context
	client := pair(t, auth, func(ctx context.Context) error {
		hop = context.WithoutCancel(ctx)
		return nil
	})
	for _, kind := range kinds {
		if _, err := kind.call(start(t, auth), client); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		if err := waybill.Update(hop, Seats.To(5)); !errors.Is(err, waybill.ErrCommitted) {
			t.Errorf("%s: change after the answer: got %v, want %v", kind.name, err, waybill.ErrCommitted)
		}
	}
}

// A journey that a handler starts goes back to a client that came without a waybill.
func TestStartInHandler(t *testing.T) {
	auth := authority(t)
	client := dial(t, serve(t, func(ctx context.Context) error {
		_, err := auth.Start(ctx, Cell.To("eu-3"))
		return err
	}, serverOptions(auth)...))
	for _, kind := range kinds {
		var trailer metadata.MD
		if _, err := kind.call(t.Context(), client, grpc.Trailer(&trailer)); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
		wb, err := auth.Open(strings.Join(trailer[waybill.HeaderReturn], ""))
		if cell, _ := Cell.Of(wb); cell != "eu-3" {
			t.Errorf("%s: got %v (%v), want a waybill with the cell eu-3", kind.name, wb, err)
		}
	}
}
