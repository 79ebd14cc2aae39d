package grpctest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/waybill-go/waybill"
)

// calls are the four kinds. What begin starts has reached its handler, or is on its way there; end reads it to its end.
var calls = []struct {
	name  string
	begin func(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (end func() error, err error)
}{
	{"unary", beginUnary},
	{"client-stream", beginClientStream},
	{"server-stream", beginServerStream},
	{"bidi-stream", beginBidiStream},
}

func beginUnary(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (func() error, error) {
	return func() error {
		_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, opts...)
		return err
	}, nil
}

func beginClientStream(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (func() error, error) {
	s, err := c.StreamingInputCall(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return func() error {
		_, err := s.CloseAndRecv()
		return err
	}, sent(s.Send(&grpc_testing.StreamingInputCallRequest{}))
}

func beginServerStream(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (func() error, error) {
	s, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{}, opts...)
	if err != nil {
		return nil, err
	}
	return func() error { return drain(s.Recv) }, nil
}

func beginBidiStream(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (func() error, error) {
	s, err := c.FullDuplexCall(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return func() error { return drain(s.Recv) }, sent(s.Send(&grpc_testing.StreamingOutputCallRequest{}))
}

// sent hides the end of a stream: receiving tells why it ended.
func sent(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func drain(recv func() (*grpc_testing.StreamingOutputCallResponse, error)) error {
	for {
		if _, err := recv(); err != nil {
			return sent(err)
		}
	}
}

// fourKinds serves what calls begin. Streams send and receive one message first, unless they are silent.
type fourKinds struct {
	grpc_testing.UnimplementedTestServiceServer
	handle func(ctx context.Context) error
	silent bool
}

func (s *fourKinds) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return &grpc_testing.Empty{}, nil
}

func (s *fourKinds) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, s.handle(ctx)
}

func (s *fourKinds) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := s.handle(stream.Context()); err != nil {
		return err
	}
	return stream.SendAndClose(&grpc_testing.StreamingInputCallResponse{})
}

func (s *fourKinds) StreamingOutputCall(
	_ *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer,
) error {
	if s.silent {
		return s.handle(stream.Context())
	}
	if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	return s.handle(stream.Context())
}

func (s *fourKinds) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return s.StreamingOutputCall(nil, stream)
}

// target is a server on the loopback interface, over TLS.
type target struct {
	address string
	roots   *x509.CertPool
}

// servers are the two ways in which a [grpc.Server] serves.
var servers = []struct {
	name  string
	start func(t *testing.T, svc *fourKinds, opts ...grpc.ServerOption) target
}{
	{"Serve", startServe},
	{"ServeHTTP", startServeHTTP},
}

func startServe(t *testing.T, svc *fourKinds, opts ...grpc.ServerOption) target {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	creds := credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates})
	return target{serveOn(t, svc, append(opts, grpc.Creds(creds))...), rootsOf(web)}
}

func startServeHTTP(t *testing.T, svc *fourKinds, opts ...grpc.ServerOption) target {
	t.Helper()
	server := grpc.NewServer(opts...)
	grpc_testing.RegisterTestServiceServer(server, svc)
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	return target{web.Listener.Addr().String(), rootsOf(web)}
}

func rootsOf(web *httptest.Server) *x509.CertPool {
	return web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}

// dialTLS connects to p with our interceptors.
func dialTLS(t *testing.T, auth *waybill.Authority, p target, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	creds := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: p.roots}))
	return connect(t, p.address, append(append(opts, creds), dialOptions(auth)...)...)
}
