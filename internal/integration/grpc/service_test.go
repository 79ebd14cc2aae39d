// Package grpctest runs the gRPC transport beside OpenTelemetry's instrumentation of gRPC.
package grpctest

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Booked = waybill.NewClaim[bool]("booked").OnSuccess()
)

var allow = waybillgrpc.AllowPlaintext()

func authority(t testing.TB) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, waybill.Claims(Cell, Seats, Booked))
}

// service runs one handler for unary calls and for bidirectional streams; a stream echoes its messages before.
type service struct {
	grpc_testing.UnimplementedTestServiceServer
	handle func(ctx context.Context) error
}

func (s *service) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, s.handle(ctx)
}

func (s *service) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return s.handle(stream.Context())
		} else if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

func serve(t *testing.T, handle func(ctx context.Context) error, opts ...grpc.ServerOption) string {
	t.Helper()
	return serveOn(t, &service{handle: handle}, opts...)
}

func serveOn(t *testing.T, svc grpc_testing.TestServiceServer, opts ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	grpc_testing.RegisterTestServiceServer(server, svc)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func dial(t *testing.T, target string, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	return connect(t, target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

func connect(t *testing.T, target string, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn)
}

// kinds are a unary call and a stream, read to its end.
var kinds = []struct {
	name string
	call func(ctx context.Context, c grpc_testing.TestServiceClient) error
}{
	{"unary", unary},
	{"stream", func(ctx context.Context, c grpc_testing.TestServiceClient) error {
		stream, err := c.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		for range 3 {
			if err := echo(stream); err != nil {
				return err
			}
		}
		return end(stream)
	}},
}

func unary(ctx context.Context, c grpc_testing.TestServiceClient) error {
	_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
	return err
}

// echo sends a message and receives one. Where sending ends, receiving tells why.
func echo(stream grpc_testing.TestService_FullDuplexCallClient) error {
	if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil && err != io.EOF {
		return err
	}
	_, err := stream.Recv()
	return err
}

func end(stream grpc_testing.TestService_FullDuplexCallClient) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	switch _, err := stream.Recv(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("a message after the end")
	default:
		return err
	}
}

func token(t *testing.T, ctx context.Context) string {
	t.Helper()
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

// incoming returns the values of key in the metadata that a handler sees.
func incoming(ctx context.Context, key string) []string {
	return metadata.ValueFromIncomingContext(ctx, key)
}

// lookedAt shows each call to look. Before our interceptors in the list, that is before they take the token out.
func lookedAt(look func(ctx context.Context)) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			look(ctx)
			return h(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			look(ss.Context())
			return h(srv, ss)
		}),
	}
}

// serverOptions are the options of a Server that opts suit.
func serverOptions(auth *waybill.Authority, opts ...waybillgrpc.ServerOption) []grpc.ServerOption {
	return newServer(auth, opts...).ServerOptions()
}

func newServer(auth *waybill.Authority, opts ...waybillgrpc.ServerOption) *waybillgrpc.Server {
	s, err := waybillgrpc.NewServer(auth, opts...)
	if err != nil {
		panic(err)
	}
	return s
}

// dialOptions are the options of a Client that opts suit.
func dialOptions(auth *waybill.Authority, opts ...waybillgrpc.ClientOption) []grpc.DialOption {
	return newClient(auth, opts...).DialOptions()
}

func newClient(auth *waybill.Authority, opts ...waybillgrpc.ClientOption) *waybillgrpc.Client {
	c, err := waybillgrpc.NewClient(auth, opts...)
	if err != nil {
		panic(err)
	}
	return c
}

func propagator(auth *waybill.Authority, opts ...waybillprop.Option) propagation.TextMapPropagator {
	p, err := waybillprop.New(auth, opts...)
	if err != nil {
		panic(err)
	}
	return p
}
