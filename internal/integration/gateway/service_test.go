// Package gatewaytest runs the real grpc-gateway between our HTTP middleware and our gRPC
// interceptors.
package gatewaytest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

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

// service is gRPC's health service, which has a unary call and a server stream. A stream first
// sends its messages.
type service struct {
	health.UnimplementedHealthServer
	handle   func(ctx context.Context) error
	messages int
}

func (s *service) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	if err := s.handle(ctx); err != nil {
		return nil, err
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func (s *service) Watch(_ *health.HealthCheckRequest, stream health.Health_WatchServer) error {
	for range s.messages {
		if err := stream.Send(&health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
	}
	return s.handle(stream.Context())
}

// upstream serves svc with our interceptors, and returns a client with our interceptors.
func upstream(t *testing.T, auth *waybill.Authority, svc *service, opts ...grpc.ServerOption) health.HealthClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(opts, must(waybillgrpc.NewServer(auth, waybillgrpc.Required())).ServerOptions()...)...)
	health.RegisterHealthServer(server, svc)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), append(
		must(waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())).DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return health.NewHealthClient(conn)
}

// The handlers below do the same as the ones that protoc-gen-grpc-gateway generates.

func register(t *testing.T, mux *runtime.ServeMux, client health.HealthClient) {
	t.Helper()
	handle(t, mux, "check", func(ctx context.Context, in, out runtime.Marshaler, w http.ResponseWriter, r *http.Request) {
		var md runtime.ServerMetadata
		resp, err := client.Check(ctx, &health.HealthCheckRequest{}, grpc.Header(&md.HeaderMD), grpc.Trailer(&md.TrailerMD))
		ctx = runtime.NewServerMetadataContext(ctx, md)
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		runtime.ForwardResponseMessage(ctx, mux, out, w, r, resp, mux.GetForwardResponseOptions()...)
	})
	handle(t, mux, "watch", func(ctx context.Context, in, out runtime.Marshaler, w http.ResponseWriter, r *http.Request) {
		stream, err := client.Watch(ctx, &health.HealthCheckRequest{})
		var md runtime.ServerMetadata
		if err == nil {
			md.HeaderMD, err = stream.Header()
		}
		ctx = runtime.NewServerMetadataContext(ctx, md)
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		runtime.ForwardResponseStream(ctx, mux, out, w, r, func() (proto.Message, error) { return stream.Recv() },
			mux.GetForwardResponseOptions()...)
	})
}

func handle(t *testing.T, mux *runtime.ServeMux, name string,
	call func(ctx context.Context, in, out runtime.Marshaler, w http.ResponseWriter, r *http.Request)) {
	t.Helper()
	pattern := "/v1/" + name
	if err := mux.HandlePath(http.MethodGet, pattern, func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		in, out := runtime.MarshalerForRequest(mux, r)
		ctx, err := runtime.AnnotateContext(ctx, mux, r, "/grpc.health.v1.Health/"+name, runtime.WithHTTPPathPattern(pattern))
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		call(ctx, in, out, w, r)
	}); err != nil {
		t.Fatal(err)
	}
}

// registerInProcess calls the service without a connection: no interceptor runs.
func registerInProcess(t *testing.T, mux *runtime.ServeMux, svc *service) {
	t.Helper()
	const pattern = "/v1/check"
	if err := mux.HandlePath(http.MethodGet, pattern, func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		var stream runtime.ServerTransportStream
		ctx := grpc.NewContextWithServerTransportStream(r.Context(), &stream)
		_, out := runtime.MarshalerForRequest(mux, r)
		ctx, err := runtime.AnnotateIncomingContext(ctx, mux, r, health.Health_Check_FullMethodName, runtime.WithHTTPPathPattern(pattern))
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		resp, err := svc.Check(ctx, &health.HealthCheckRequest{})
		ctx = runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{HeaderMD: stream.Header(), TrailerMD: stream.Trailer()})
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		runtime.ForwardResponseMessage(ctx, mux, out, w, r, resp, mux.GetForwardResponseOptions()...)
	}); err != nil {
		t.Fatal(err)
	}
}

// front serves the gateway behind our middleware.
func front(t *testing.T, auth *waybill.Authority, mux *runtime.ServeMux, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(must(waybillhttp.NewServer(auth, waybillhttp.Required())).Middleware(mux))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// base returns a transport that trusts s.
func base(t *testing.T, s *httptest.Server) http.RoundTripper {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
