package waybillgrpc_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// streams opens a stream of each kind, and does not read its end.
var streams = []struct {
	name string
	open func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption) (grpc.ClientStream, error)
}{
	{"client stream", func(
		ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		s, err := c.StreamingInputCall(ctx, opts...)
		if err != nil {
			return nil, err
		}
		return s, s.CloseSend()
	}},
	{"server stream", func(
		ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		s, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{}, opts...)
		if err != nil {
			return nil, err
		}
		_, err = s.Recv()
		return s, err
	}},
	{"bidirectional stream", func(
		ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		s, err := c.FullDuplexCall(ctx, opts...)
		if err != nil {
			return nil, err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
			return nil, err
		}
		if _, err := s.Recv(); err != nil {
			return nil, err
		}
		return s, s.CloseSend()
	}},
}

// trailers tells when the trailer of a stream has arrived.
type trailers chan struct{}

func (trailers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (trailers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (trailers) HandleConn(context.Context, stats.ConnStats)                       {}
func (c trailers) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.InTrailer); ok {
		c <- struct{}{}
	}
}

// deadline is a context whose deadline passes when the channel is closed.
type deadline struct {
	context.Context
	passed chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// A returned token that has arrived is merged, though the caller gives the stream up before it reads the end.
func TestStreamGivenUpAfterItsTrailer(t *testing.T) {
	auth := authority(t)
	for _, kind := range streams {
		for _, end := range []string{"cancel", "deadline", "close"} {
			t.Run(kind.name+", "+end, func(t *testing.T) {
				var metrics meters
				arrived := make(trailers, 10)
				target := serve(t, func(ctx context.Context) error {
					if _, err := waybill.FromContext(ctx); err != nil {
						return nil // the call that follows
					}
					return waybill.Update(ctx, Seats.To(5), Booked.To(true))
				}, serverOptions(auth)...)
				conn, err := grpc.NewClient(target, append(dialOptions(auth, waybillgrpc.AllowPlaintext(),
					waybillgrpc.MeterProvider(&metrics)), grpc.WithStatsHandler(arrived),
					grpc.WithTransportCredentials(insecure.NewCredentials()))...)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				client := grpc_testing.NewTestServiceClient(conn)

				ctx := start(t, auth, Seats.To(1))
				within, cancel := context.WithCancel(ctx)
				defer cancel()
				passed := make(chan struct{})
				if end == "deadline" {
					within = deadline{ctx, passed}
				}
				finished := make(chan error, 1)
				stream, err := kind.open(within, client, grpc.OnFinish(func(err error) { finished <- err }))
				if err != nil {
					t.Fatal(err)
				}
				<-arrived
				if _, err := unary(t.Context(), client); err != nil { // the connection reads one frame after the other
					t.Fatal(err)
				}
				want := codes.Canceled
				switch end {
				case "close":
					conn.Close()
				case "deadline":
					want = codes.DeadlineExceeded
					close(passed)
				default:
					cancel()
				}
				if err := <-finished; status.Code(err) != want {
					t.Errorf("end of the stream: got %v, want %v", err, want)
				}
				eventually(t, "merged", func() bool { return metrics.count("waybill.return merged") > 0 })
				if n, _ := Seats.Get(ctx); n != 5 {
					t.Errorf("seats: got %d, want 5", n)
				}
				if booked, _ := Booked.Get(ctx); booked {
					t.Error("a claim of successful calls was merged, though the caller saw no success")
				}
				if err := waybill.Lost(ctx); err != nil {
					t.Errorf("lost: %v", err)
				}
				if stream.Trailer()[waybill.HeaderReturn] != nil {
					t.Error("Trailer() shows the returned token")
				}
				metrics.want(t, map[string]int64{
					"waybill.inject sent": 1, "waybill.inject absent": 1, "waybill.return merged": 1})
			})
		}
	}
}

// If the trailer has not arrived, a token may have followed: Lost says so.
func TestStreamGivenUpBeforeItsTrailer(t *testing.T) {
	auth := authority(t)
	for _, kind := range streams {
		for _, how := range []string{"not reading", "reading"} {
			t.Run(kind.name+", "+how, func(t *testing.T) {
				var metrics meters
				began, over := make(chan struct{}), make(chan struct{})
				target := serve(t, func(ctx context.Context) error {
					defer close(over)
					close(began)
					err := waybill.Update(ctx, Seats.To(5))
					<-ctx.Done()
					return err
				}, serverOptions(auth)...)
				client := dial(t, target, dialOptions(auth,
					waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
				ctx := start(t, auth, Seats.To(1))
				within, cancel := context.WithCancel(ctx)
				defer cancel()
				stream, err := kind.open(within, client)
				if err != nil {
					t.Fatal(err)
				}
				<-began
				read := make(chan error, 1)
				if how == "reading" {
					go func() { read <- stream.RecvMsg(&grpc_testing.StreamingOutputCallResponse{}) }()
				}
				cancel()
				if how == "reading" {
					if err := <-read; status.Code(err) != codes.Canceled {
						t.Errorf("Recv: got %v, want %v", err, codes.Canceled)
					}
				}
				eventually(t, "Lost", func() bool { return waybill.Lost(ctx) != nil })
				if err := waybill.Lost(ctx); !errors.Is(err, waybill.ErrUnread) {
					t.Errorf("lost: got %v, want %v", err, waybill.ErrUnread)
				}
				metrics.want(t, map[string]int64{"waybill.inject sent": 1, "waybill.return unread": 1})
				<-over
			})
		}
	}
}

// A stream that fails, or was read to its end before its context ended, is not unread. Nor is one without a waybill.
func TestStreamsThatAreNotGivenUp(t *testing.T) {
	auth := authority(t)
	var fail error
	target := serve(t, func(context.Context) error { return fail }, serverOptions(auth)...)
	var metrics meters
	client := dial(t, target, dialOptions(auth, waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
	calls := int64(0)
	for _, kind := range kinds {
		for _, fail = range []error{nil, status.Error(codes.Canceled, "the server's"), status.Error(codes.NotFound, "no")} {
			ctx := start(t, auth)
			within, cancel := context.WithCancel(ctx)
			_, err := kind.call(within, client)
			cancel()
			if status.Code(err) != status.Code(fail) {
				t.Errorf("%s: got %v, want %v", kind.name, err, fail)
			}
			calls++
			if err := waybill.Lost(ctx); err != nil {
				t.Errorf("%s, %v: lost: %v", kind.name, fail, err)
			}
		}
	}
	for _, kind := range streams {
		within, cancel := context.WithCancel(t.Context())
		if _, err := kind.open(within, client); err != nil && fail == nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		cancel()
	}
	metrics.want(t, map[string]int64{"waybill.inject sent": calls, "waybill.inject absent": int64(len(streams))})
}

// A context that has ended before the stream is opened opens none, and nothing is lost.
func TestStreamOfAnEndedContext(t *testing.T) {
	auth := authority(t)
	client := pair(t, auth, func(context.Context) error { return nil })
	for _, kind := range streams {
		ctx := start(t, auth)
		within, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := kind.open(within, client); status.Code(err) != codes.Canceled {
			t.Errorf("%s: got %v, want %v", kind.name, err, codes.Canceled)
		}
		if err := waybill.Lost(ctx); err != nil {
			t.Errorf("%s: lost: %v", kind.name, err)
		}
	}
}

// Each token goes with the metadata that says that the caller is a hop; handlers see neither, and no client of an
// application can send it without a token.
func TestHopMetadata(t *testing.T) {
	auth := authority(t)
	for _, kind := range kinds {
		var raw, seen []string
		server := newServer(auth)
		opts := []grpc.ServerOption{
			grpc.ChainUnaryInterceptor(func(
				ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler,
			) (any, error) {
				raw = metadata.ValueFromIncomingContext(ctx, "waybill-hop")
				return server.UnaryInterceptor(ctx, req, info, h)
			}),
			grpc.ChainStreamInterceptor(func(
				srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler,
			) error {
				raw = metadata.ValueFromIncomingContext(ss.Context(), "waybill-hop")
				return server.StreamInterceptor(srv, ss, info, h)
			}),
		}
		client := dial(t, serve(t, func(ctx context.Context) error {
			seen = metadata.ValueFromIncomingContext(ctx, "waybill-hop")
			return nil
		}, opts...), dialOptions(auth, waybillgrpc.AllowPlaintext())...)
		for name, tt := range map[string]struct {
			ctx  context.Context
			want []string
		}{
			"with a waybill":    {metadata.AppendToOutgoingContext(start(t, auth), "waybill-hop", "2"), []string{"1"}},
			"without a waybill": {metadata.AppendToOutgoingContext(t.Context(), "waybill-hop", "1"), nil},
		} {
			if _, err := kind.call(tt.ctx, client); err != nil {
				t.Fatal(err)
			}
			if len(seen) > 0 || !slices.Equal(raw, tt.want) {
				t.Errorf("%s, %s: sent %q, the handler sees %q; want %q and none", kind.name, name, raw, seen, tt.want)
			}
		}
	}
}
