package waybillgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// wire records what calls bring, before our interceptors take it out.
type wire struct {
	mu   sync.Mutex
	seen []metadata.MD
}

func (w *wire) record(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, md)
}

func (w *wire) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			w.record(ctx)
			return h(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			w.record(ss.Context())
			return h(srv, ss)
		}),
	}
}

// take returns the values of key that each call brought since the last time.
func (w *wire) take(key string) [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var values [][]string
	for _, md := range w.seen {
		values = append(values, md[key])
	}
	w.seen = nil
	return values
}

// What the caller has put into the metadata by hand, or copied there, does not travel.
func TestOutgoingMetadata(t *testing.T) {
	auth := authority(t)
	var w wire
	target := serve(t, func(context.Context) error { return nil }, append(w.options(), serverOptions(auth)...)...)
	allow := waybillgrpc.AllowPlaintext()
	quiet := waybillgrpc.Logger(slog.New(slog.DiscardHandler))
	skip := waybillgrpc.Skip(func(string) bool { return true })
	for _, tt := range []struct {
		name string
		ctx  context.Context
		opts []waybillgrpc.ClientOption
		sent bool
	}{
		{"with a waybill", start(t, auth), []waybillgrpc.ClientOption{allow}, true},
		{"without one", t.Context(), []waybillgrpc.ClientOption{allow}, false},
		{"held back", start(t, auth), []waybillgrpc.ClientOption{quiet}, false},
		{"skipped", start(t, auth), []waybillgrpc.ClientOption{allow, skip}, false},
		{"of another domain", start(t, authority(t)), []waybillgrpc.ClientOption{allow}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := dial(t, target, dialOptions(auth, tt.opts...)...)
			md := metadata.MD{"Waybill": {"copied"}, waybill.HeaderReturn: {"copied"}, "theirs": {"1"}}
			ctx := metadata.NewOutgoingContext(tt.ctx, md)
			ctx = metadata.AppendToOutgoingContext(ctx, "WAYBILL", "by hand", "theirs", "2")
			var want []string
			if tt.sent {
				want = []string{token(t, ctx)}
			}
			for _, kind := range kinds {
				if _, err := kind.call(ctx, client); err != nil {
					t.Errorf("%s: %v", kind.name, err)
				}
				w.mu.Lock()
				got := w.seen[0]
				w.seen = nil
				w.mu.Unlock()
				if !slices.Equal(got[waybill.Header], want) {
					t.Errorf("%s: the wire has %d tokens, want %d, the pinned one", kind.name, len(got[waybill.Header]), len(want))
				}
				if got[waybill.HeaderReturn] != nil {
					t.Errorf("%s: the wire has an update, want none", kind.name)
				}
				if !slices.Equal(got["theirs"], []string{"1", "2"}) {
					t.Errorf("%s: other metadata: got %v, want [1 2]", kind.name, got["theirs"])
				}
			}
		})
	}
}

const retryPolicy = `{"methodConfig": [{"name": [{"service": "grpc.testing.TestService"}], "retryPolicy": {"maxAttempts": 4,
	"initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// gRPC's own retries work beside updates, all attempts carry the token of the call, and the last one's update is merged,
// though the caller's waybill changes meanwhile.
func TestRetry(t *testing.T) {
	auth := authority(t)
	for _, kind := range kinds {
		if kind.name == "server stream" || kind.name == "bidirectional stream" {
			continue // they send a message first, which ends gRPC's retries
		}
		for _, last := range []codes.Code{codes.OK, codes.NotFound} {
			t.Run(fmt.Sprintf("%s, %v", kind.name, last), func(t *testing.T) {
				ctx := start(t, auth, Seats.To(1))
				pinned := token(t, ctx)
				attempts := 0
				var w wire
				target := serve(t, func(hop context.Context) error {
					attempts++
					if err := waybill.Update(hop, Seats.To(10*attempts)); err != nil {
						t.Error(err)
					}
					if err := waybill.Update(ctx, Cell.To(fmt.Sprint("attempt-", attempts))); err != nil { // the caller's
						t.Error(err)
					}
					if attempts < 3 {
						return status.Error(codes.Unavailable, "not now")
					}
					return status.Error(last, "done")
				}, append(w.options(), serverOptions(auth)...)...)
				var metrics meters
				client := dial(t, target, append(
					dialOptions(auth, waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics)),
					grpc.WithDefaultServiceConfig(retryPolicy))...)

				if _, err := kind.call(ctx, client); status.Code(err) != last {
					t.Errorf("call: got %v, want %v", err, last)
				}
				got := w.take(waybill.Header)
				if want := [][]string{{pinned}, {pinned}, {pinned}}; !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("got %d attempts with %d tokens in all, want 3, each with the pinned one",
						len(got), len(slices.Concat(got...)))
				}
				seats, _ := Seats.Get(ctx)
				cell, _ := Cell.Get(ctx)
				if seats != 30 || cell != "attempt-3" {
					t.Errorf("after the call: got %d seats, cell %s, want 30, attempt-3; lost: %v", seats, cell, waybill.Lost(ctx))
				}
				metrics.want(t, map[string]int64{"waybill.inject sent": 1, "waybill.return merged": 1})
			})
		}
	}
}

// A waybill that has expired since it was received ends the call here, and the error says what helps.
func TestExpiredBeforeSending(t *testing.T) {
	now := time.Now()
	auth := authority(t, waybill.Clock(func() time.Time { return now }))
	calls := 0
	client := pair(t, auth, func(context.Context) error {
		calls++
		return nil
	})
	ctx := start(t, auth)
	now = now.Add(time.Hour)
	for _, kind := range kinds {
		_, err := kind.call(ctx, client)
		if status.Code(err) != codes.FailedPrecondition || !errors.Is(err, waybill.ErrExpired) {
			t.Errorf("%s: got %v, want %v that is %v", kind.name, err, codes.FailedPrecondition, waybill.ErrExpired)
		}
		if !strings.Contains(fmt.Sprint(err), "waybill.Reissue") {
			t.Errorf("%s: got %q, want advice", kind.name, err)
		}
	}
	if calls != 0 {
		t.Errorf("the server got %d calls, want 0", calls)
	}
	fresh, err := waybill.Reissue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unary(fresh, client); err != nil || calls != 1 {
		t.Errorf("with a fresh waybill: got %v and %d calls, want nil and 1", err, calls)
	}
}

// A handler whose own waybill was refused, and let pass by Observe, calls on without one.
func TestNothingToSend(t *testing.T) {
	auth := authority(t)
	past := waybill.Clock(func() time.Time { return time.Now().Add(-time.Hour) })
	var w wire
	target := serve(t, func(context.Context) error { return nil }, append(w.options(), serverOptions(auth)...)...)
	for _, tt := range []struct {
		name    string
		values  []string
		outcome string
	}{
		{"absent", nil, "absent"},
		{"forged", []string{forged(issue(t, auth))}, "forged"},
		{"expired", []string{issue(t, authority(t, past))}, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, _ := auth.Receive(t.Context(), tt.values, nil)
			var metrics meters
			client := dial(t, target, dialOptions(auth,
				waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
			for i, kind := range kinds {
				if _, err := kind.call(ctx, client); err != nil {
					t.Errorf("%s: got %v, want nil", kind.name, err)
				}
				if got := w.take(waybill.Header); len(got) != 1 || got[0] != nil {
					t.Errorf("%s: the wire has %d calls with %d tokens, want 1 with none", kind.name, len(got), len(slices.Concat(got...)))
				}
				metrics.want(t, map[string]int64{"waybill.inject " + tt.outcome: int64(i + 1)})
			}
		})
	}
}

// The slice of options that a caller shares among its calls is not written to.
func TestSharedOptions(t *testing.T) {
	auth := authority(t)
	target := serve(t, func(context.Context) error { return nil }, serverOptions(auth)...)
	opts := append(dialOptions(auth, waybillgrpc.AllowPlaintext()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	shared := make([]grpc.CallOption, 1, 8)
	shared[0] = grpc.WaitForReady(true)

	// Not by the generated client: it copies the slice.
	ctx := start(t, auth)
	in, out := &grpc_testing.SimpleRequest{}, &grpc_testing.SimpleResponse{}
	if err := conn.Invoke(ctx, grpc_testing.TestService_UnaryCall_FullMethodName, in, out, shared...); err != nil {
		t.Error(err)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		grpc_testing.TestService_FullDuplexCall_FullMethodName, shared...)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := stream.RecvMsg(out); err != io.EOF {
		t.Errorf("end of the stream: got %v, want %v", err, io.EOF)
	}
	for i, o := range shared[1:cap(shared)] {
		if o != nil {
			t.Errorf("%d beyond the caller's options: got %T, want nothing", i+1, o)
		}
	}
}

// Sending and receiving in two goroutines, a stream's update is there when its end is, and once.
func TestConcurrentStream(t *testing.T) {
	auth := authority(t)
	var metrics meters
	target := serve(t, func(ctx context.Context) error { return waybill.Update(ctx, Seats.To(5)) },
		serverOptions(auth)...)
	client := dial(t, target, dialOptions(auth,
		waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
	ctx := start(t, auth, Seats.To(1))
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		for range 100 {
			if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
				t.Errorf("Send: %v", err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Errorf("CloseSend: %v", err)
		}
	})
	received := 0
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
		received++
	}
	if seats, _ := Seats.Get(ctx); received != 100 || seats != 5 {
		t.Errorf("at the end: got %d messages and %d seats, want 100 and 5", received, seats)
	}
	for range 2 {
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("Recv after the end: got %v, want %v", err, io.EOF)
		}
	}
	sender.Wait()
	metrics.want(t, map[string]int64{"waybill.inject sent": 1, "waybill.return merged": 1})
}
