package integrationhttp

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var coupon = waybill.NewClaim[string]("coupon").OnSuccess()

// checker is a gRPC service that changes claims, and then fails on request.
type checker struct {
	grpc_health_v1.UnimplementedHealthServer
	t        testing.TB
	attempts *atomic.Int32
}

func (c checker) Check(ctx context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if got, err := cell.Lookup(ctx); got != "eu-3" {
		c.t.Errorf("the service sees cell %q, %v; want eu-3", got, err)
	}
	check(c.t, waybill.Update(ctx, seats.To(4), coupon.To("used")))
	if in.Service == "retried" && c.attempts.Add(1) < 3 {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	if in.Service == "fails" {
		return nil, status.Error(codes.FailedPrecondition, "no")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (c checker) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	check(c.t, waybill.Update(s.Context(), seats.To(4)))
	check(c.t, s.Send(&grpc_health_v1.HealthCheckResponse{}))
	check(c.t, waybill.Update(s.Context(), seats.To(5)))
	return nil
}

func grpcAuthority(t testing.TB) *waybill.Authority {
	return waybilltest.Authority(t, waybill.Claims(cell, seats, coupon))
}

// grpcServers returns a gRPC service behind the HTTP middleware, and the same behind a proxy that
// is a hop.
func grpcServers(t testing.TB) map[string]*httptest.Server {
	over := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(over, checker{t: t, attempts: new(atomic.Int32)})
	inner := serve(t, true, must(waybillhttp.NewServer(grpcAuthority(t), waybillhttp.Required())).Middleware(over))

	native := grpc.NewServer(must(waybillgrpc.NewServer(grpcAuthority(t), waybillgrpc.Required())).ServerOptions()...)
	grpc_health_v1.RegisterHealthServer(native, checker{t: t, attempts: new(atomic.Int32)})
	servers := map[string]*httptest.Server{"ServeHTTP": inner, "proxy to ServeHTTP": proxyTo(t, inner)}

	// A native server's response to a failed call is one header block, which is its trailer.
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	plain := &http.Transport{Protocols: protocols}
	t.Cleanup(plain.CloseIdleConnections)
	to := &url.URL{Scheme: "http", Host: listen(t, native)}
	servers["proxy to Serve"] = proxy(t, to, plain, waybillhttp.AllowPlaintext())
	return servers
}

func proxyTo(t testing.TB, s *httptest.Server) *httptest.Server {
	to, _ := url.Parse(s.URL)
	return proxy(t, to, base(t, s))
}

// proxy is a service that only forwards.
func proxy(t testing.TB, to *url.URL, base http.RoundTripper, opts ...waybillhttp.ClientOption) *httptest.Server {
	auth := grpcAuthority(t)
	return serve(t, true, must(waybillhttp.NewServer(auth)).Middleware(&httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport: must(waybillhttp.NewTransport(auth, base, append(opts, waybillhttp.AllowHosts(to.Host))...)),
	}))
}

// dial returns a client of grpc-go.
func dial(t testing.TB, s *httptest.Server, opts ...grpc.DialOption) grpc_health_v1.HealthClient {
	t.Helper()
	u, _ := url.Parse(s.URL)
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	conn, err := grpc.NewClient(u.Host, append(opts,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// A client of grpc-go merges the returned token from the trailer, whatever HTTP is in between.
func TestGRPC(t *testing.T) {
	auth := grpcAuthority(t)
	for name, s := range grpcServers(t) {
		client := dial(t, s, must(waybillgrpc.NewClient(auth)).DialOptions()...)
		for service, want := range map[string]codes.Code{"works": codes.OK, "fails": codes.FailedPrecondition} {
			t.Run(name+"/"+service, func(t *testing.T) {
				ctx := waybilltest.Context(t, auth, cell.To("eu-3"))
				var header metadata.MD
				_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}, grpc.Header(&header))
				if status.Code(err) != want {
					t.Errorf("got %v, want %v", err, want)
				}
				if len(header[waybill.HeaderReturn]) != 0 {
					t.Error("the returned token is in the header, want it in the trailer: a header ends retries")
				}
				if got, _ := seats.Get(ctx); got != 4 {
					t.Errorf("%d seats, want 4 (lost: %v)", got, waybill.Lost(ctx))
				}
				if _, ok := coupon.Get(ctx); ok != (want == codes.OK) {
					t.Errorf("the OnSuccess claim came back with %v: %v", want, ok)
				}
			})
		}
		t.Run(name+"/stream", func(t *testing.T) {
			ctx := waybilltest.Context(t, auth, cell.To("eu-3"))
			stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			if got, _ := seats.Get(ctx); got != 5 {
				t.Errorf("%d seats at the end of the stream, want 5 (%v, lost: %v)", got, err, waybill.Lost(ctx))
			}
		})
	}
}

// A failed call is retried although each attempt returned a token, because the responses had only a
// trailer.
func TestGRPCRetry(t *testing.T) {
	auth := grpcAuthority(t)
	retry := grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4,
		"initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
	client := dial(t, grpcServers(t)["proxy to Serve"], append(must(waybillgrpc.NewClient(auth)).DialOptions(), retry)...)
	ctx := waybilltest.Context(t, auth, cell.To("eu-3"))
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "retried"})
	if got, _ := seats.Get(ctx); err != nil || got != 4 {
		t.Errorf("got %v and %d seats, want the third attempt's 4 (lost: %v)", err, got, waybill.Lost(ctx))
	}
}

// A gRPC client sees a refusal of the middleware as a status with the reason.
func TestGRPCRefusal(t *testing.T) {
	auth := grpcAuthority(t)
	client := dial(t, grpcServers(t)["ServeHTTP"])
	token := issue(t, auth)
	for name, tt := range map[string]struct {
		tokens []string
		want   codes.Code
		reason string
	}{
		"absent":    {nil, codes.Unauthenticated, "absent"},
		"malformed": {[]string{"x"}, codes.InvalidArgument, "malformed"},
		"two":       {[]string{token, token}, codes.InvalidArgument, "ambiguous"},
		"forged":    {[]string{token[:len(token)-8] + "AAAAAAAA"}, codes.Unauthenticated, "forged"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{waybill.Header: tt.tokens})
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			if st := status.Convert(err); st.Code() != tt.want || st.Message() != "waybill refused: "+tt.reason {
				t.Errorf("got %v, want %v for the reason %s", err, tt.want, tt.reason)
			}
		})
	}
}

// listen serves on loopback without TLS and returns the address.
func listen(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}
