//go:build unix

package hop

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

func setupGRPC(e *env) func(context.Context) error {
	var server []grpc.ServerOption
	client := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if e.load != bare {
		server = must(waybillgrpc.NewServer(e.auth)).ServerOptions()
		client = append(client, must(waybillgrpc.NewClient(e.auth, waybillgrpc.AllowPlaintext())).DialOptions()...)
	}
	health := grpc_health_v1.NewHealthClient(dial(e, serveGRPC(e, checker{e: e}, server...), client...))
	return func(ctx context.Context) error {
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
}

type checker struct {
	grpc_health_v1.UnimplementedHealthServer
	e *env
}

func (c checker) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, c.e.work(ctx)
}

// serveGRPC returns the address of a server.
func serveGRPC(tb testing.TB, h grpc_health_v1.HealthServer, opts ...grpc.ServerOption) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	grpc_health_v1.RegisterHealthServer(s, h)
	go s.Serve(l)
	tb.Cleanup(s.Stop)
	return l.Addr().String()
}

func dial(tb testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(addr, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}
