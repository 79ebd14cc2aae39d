// Package connecttest runs servers and clients of connect-go, over its three protocols, together
// with servers and clients of grpc-go.
package connecttest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Booked = waybill.NewClaim[bool]("booked").OnSuccess()
)

func authority(t testing.TB) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, waybill.Claims(Cell, Seats, Booked))
}

// must returns v. An error of a constructor fails the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The calls are those of gRPC's test service, whatever serves them.
var (
	unarySpec = connect.Spec{
		StreamType: connect.StreamTypeUnary,
		Procedure:  grpc_testing.TestService_UnaryCall_FullMethodName,
	}
	streamSpec = connect.Spec{
		StreamType: connect.StreamTypeServer,
		Procedure:  grpc_testing.TestService_StreamingOutputCall_FullMethodName,
	}
)

// handle runs in both servers. A stream has sent a message before. The codes of gRPC and Connect
// are the same.
type handle func(ctx context.Context) codes.Code

// server is a TLS server on the loopback interface.
type server struct {
	address string
	base    *http.Transport // trusts it
}

// connectGo serves through connect-go and the HTTP middleware.
func connectGo(t *testing.T, auth *waybill.Authority, h handle) server {
	t.Helper()
	return listen(t, connectHandler(auth, h), true)
}

// connectGoHTTP1 is connectGo over HTTP/1.1, which gRPC cannot use.
func connectGoHTTP1(t *testing.T, auth *waybill.Authority, h handle) server {
	t.Helper()
	return listen(t, connectHandler(auth, h), false)
}

func connectHandler(auth *waybill.Authority, h handle) http.Handler {
	fail := func(ctx context.Context) error {
		if code := h(ctx); code != codes.OK {
			return connect.NewError(connect.Code(code), "no such train")
		}
		return nil
	}
	calls := connect.NewServer()
	calls.Register(
		connect.Method{Spec: unarySpec, Handler: func(ctx context.Context, _ connect.Spec, s connect.ServerStream) error {
			if err := s.Receive(&grpc_testing.SimpleRequest{}); err != nil {
				return err
			}
			if err := fail(ctx); err != nil {
				return err
			}
			return s.Send(&grpc_testing.SimpleResponse{})
		}},
		connect.Method{Spec: streamSpec, Handler: func(ctx context.Context, _ connect.Spec, s connect.ServerStream) error {
			if err := s.Receive(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
				return err
			}
			if err := s.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
				return err
			}
			return fail(ctx)
		}})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, calls)
	return must(waybillhttp.NewServer(auth, waybillhttp.Required())).Middleware(mux)
}

// grpcGo serves through grpc-go and its interceptors.
func grpcGo(t *testing.T, auth *waybill.Authority, h handle) server {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	creds := credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates})
	srv := grpc.NewServer(append(must(waybillgrpc.NewServer(auth, waybillgrpc.Required())).ServerOptions(), grpc.Creds(creds))...)
	grpc_testing.RegisterTestServiceServer(srv, &service{handle: h})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(listener) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server{listener.Addr().String(), base(t, web)}
}

func listen(t *testing.T, h http.Handler, http2 bool) server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return server{s.Listener.Addr().String(), base(t, s)}
}

// base returns a transport that trusts the server's certificate, and prefers HTTP/2 if it may.
func base(t *testing.T, s *httptest.Server) *http.Transport {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

type service struct {
	grpc_testing.UnimplementedTestServiceServer
	handle handle
}

func (s *service) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if code := s.handle(ctx); code != codes.OK {
		return nil, status.Error(code, "no such train")
	}
	return &grpc_testing.SimpleResponse{}, nil
}

func (s *service) StreamingOutputCall(
	_ *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer,
) error {
	if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	return status.Error(s.handle(stream.Context()), "no such train")
}

// client calls the service, and returns the names of the response's headers and trailers.
type client interface {
	unary(ctx context.Context) (names []string, code codes.Code)
	stream(ctx context.Context) (names []string, code codes.Code)
}

// connectClient is a client of connect-go over the HTTP transport.
type connectClient struct{ *connect.Client }

func newConnectClient(t *testing.T, auth *waybill.Authority, s server, opts ...connecthttp.Option) client {
	t.Helper()
	c := &http.Client{Transport: must(waybillhttp.NewTransport(auth, s.base, waybillhttp.AllowHosts(s.address)))}
	return connectClient{connect.NewClient(connecthttp.NewTransport(c, "https://"+s.address, opts...))}
}

func (c connectClient) unary(ctx context.Context) ([]string, codes.Code) {
	ctx, info := connect.NewClientContext(ctx)
	err := c.CallUnary(ctx, unarySpec, &grpc_testing.SimpleRequest{}, &grpc_testing.SimpleResponse{})
	return namesOf(info), codeOf(err)
}

func (c connectClient) stream(ctx context.Context) ([]string, codes.Code) {
	ctx, info := connect.NewClientContext(ctx)
	s, err := c.CallServerStream(ctx, streamSpec, &grpc_testing.StreamingOutputCallRequest{})
	if err != nil {
		return nil, codeOf(err)
	}
	defer s.Close()
	for err == nil {
		err = s.Receive(&grpc_testing.StreamingOutputCallResponse{})
	}
	return namesOf(info), codeOf(err)
}

func namesOf(info *connect.CallInfo) (names []string) {
	for _, h := range []*connect.Header{info.ResponseHeader(), info.ResponseTrailer()} {
		for name := range h.All() {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

func codeOf(err error) codes.Code {
	if err == nil || errors.Is(err, io.EOF) {
		return codes.OK
	}
	return codes.Code(connect.CodeOf(err))
}

// grpcClient is a client of grpc-go with the interceptors.
type grpcClient struct{ grpc_testing.TestServiceClient }

func newGRPCClient(t *testing.T, auth *waybill.Authority, s server) client {
	t.Helper()
	creds := credentials.NewTLS(&tls.Config{RootCAs: s.base.TLSClientConfig.RootCAs})
	conn, err := grpc.NewClient(s.address, append(must(waybillgrpc.NewClient(auth)).DialOptions(), grpc.WithTransportCredentials(creds))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpcClient{grpc_testing.NewTestServiceClient(conn)}
}

func (c grpcClient) unary(ctx context.Context) ([]string, codes.Code) {
	var header, trailer metadata.MD
	_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	return keysOf(header, trailer), status.Code(err)
}

func (c grpcClient) stream(ctx context.Context) ([]string, codes.Code) {
	s, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{})
	if err != nil {
		return nil, status.Code(err)
	}
	for err == nil {
		_, err = s.Recv()
	}
	if err == io.EOF {
		err = nil
	}
	header, _ := s.Header()
	return keysOf(header, s.Trailer()), status.Code(err)
}

func keysOf(all ...metadata.MD) (names []string) {
	for _, md := range all {
		for name := range md {
			names = append(names, name)
		}
	}
	return names
}
