// Package kratostest runs the transports inside services of go-kratos, which copies the headers of
// requests into its own transport context, and extracts traces from there.
package kratostest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-kratos/kratos/v2/log"
	"github.com/go-kratos/kratos/v2/middleware/tracing"
	kgrpc "github.com/go-kratos/kratos/v2/transport/grpc"
	khttp "github.com/go-kratos/kratos/v2/transport/http"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// service is a program with kratos, OpenTelemetry and an Authority.
type service struct {
	auth    *waybill.Authority
	tracers *sdktrace.TracerProvider
	tracing []tracing.Option
}

func newService(t testing.TB) *service {
	t.Helper()
	log.SetLogger(log.NewFilter(log.DefaultLogger, log.FilterLevel(log.LevelError)))
	s := &service{auth: waybilltest.Authority(t, waybill.Claims(Cell, Seats)), tracers: sdktrace.NewTracerProvider()}
	t.Cleanup(func() { check(t, s.tracers.Shutdown(context.Background())) })
	ours, err := waybillprop.New(s.auth)
	check(t, err)
	s.tracing = []tracing.Option{tracing.WithTracerProvider(s.tracers), tracing.WithPropagator(
		propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, ours))}
	return s
}

// travel calls the service in a journey, and checks that the trace and the journey reach the
// handler, and that its change comes back. handled is called by the handler.
func (s *service) travel(t *testing.T, call func(ctx context.Context) error, handled <-chan trace.TraceID) {
	t.Helper()
	ctx, span := s.tracers.Tracer("test").Start(t.Context(), "root")
	defer span.End()
	ctx, err := s.auth.Start(ctx, Cell.To("eu-3"), Seats.To(1))
	check(t, err)
	check(t, call(ctx))
	if got, want := <-handled, span.SpanContext().TraceID(); got != want {
		t.Errorf("the handler has trace %s, want %s", got, want)
	}
	if got, _ := Seats.Get(ctx); got != 5 {
		t.Errorf("%d seats after the call, want 5; lost: %v", got, waybill.Lost(ctx))
	}
}

// handle is what the handlers do. The channel has room for the one call of a test.
func handle(t testing.TB, ctx context.Context, handled chan<- trace.TraceID) error {
	if got, err := Cell.Lookup(ctx); got != "eu-3" {
		t.Errorf("the handler sees cell %q (%v), want eu-3", got, err)
	}
	handled <- trace.SpanContextFromContext(ctx).TraceID()
	return waybill.Update(ctx, Seats.To(5))
}

// copying is a filter that hands on a copy of the request, as frameworks do.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.Clone(r.Context())) })
}

// A service of kratos over HTTP keeps the journey, and returns changes, whether its server with its
// tracing middleware is inside of ours, or ours is one of its filters.
func TestHTTP(t *testing.T) {
	for _, c := range []struct {
		name    string
		outside bool // our middleware is outside of the server of kratos
		filters func(ours khttp.FilterFunc) []khttp.FilterFunc
	}{
		{"around the server", true, func(khttp.FilterFunc) []khttp.FilterFunc { return nil }},
		{"around the server, copied", true, func(khttp.FilterFunc) []khttp.FilterFunc { return []khttp.FilterFunc{copying} }},
		{"as a filter", false, func(ours khttp.FilterFunc) []khttp.FilterFunc { return []khttp.FilterFunc{ours} }},
		{"as a filter, copied", false, func(ours khttp.FilterFunc) []khttp.FilterFunc {
			return []khttp.FilterFunc{copying, ours, copying}
		}},
		{"both", true, func(ours khttp.FilterFunc) []khttp.FilterFunc { return []khttp.FilterFunc{ours} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			ours, err := waybillhttp.NewServer(s.auth, waybillhttp.Required())
			check(t, err)
			server := khttp.NewServer(khttp.Timeout(0), khttp.Filter(c.filters(ours.Middleware)...),
				khttp.Middleware(tracing.Server(s.tracing...)))
			handled := make(chan trace.TraceID, 1)
			server.Route("/").GET("/quote", func(kc khttp.Context) error {
				h := kc.Middleware(func(ctx context.Context, _ any) (any, error) { return "done", handle(t, ctx, handled) })
				out, err := h(kc, nil)
				if err != nil {
					return err
				}
				return kc.JSON(http.StatusOK, out)
			})
			var outer http.Handler = server
			if c.outside {
				outer = ours.Middleware(server)
			}
			web := httptest.NewServer(outer)
			t.Cleanup(web.Close)

			sender, err := waybillhttp.NewTransport(s.auth, web.Client().Transport,
				waybillhttp.AllowHosts("127.0.0.1"), waybillhttp.AllowPlaintext())
			check(t, err)
			client, err := khttp.NewClient(t.Context(), khttp.WithEndpoint(web.Listener.Addr().String()), khttp.WithTimeout(0),
				khttp.WithTransport(sender), khttp.WithMiddleware(tracing.Client(s.tracing...)))
			check(t, err)
			s.travel(t, func(ctx context.Context) error {
				var out string
				return client.Invoke(ctx, "GET", "/quote", nil, &out)
			}, handled)
		})
	}
}

// greeter answers unary calls.
type greeter struct {
	grpc_testing.UnimplementedTestServiceServer
	handle func(context.Context) error
}

func (g greeter) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, g.handle(ctx)
}

// A service of kratos over gRPC keeps the journey, and returns changes, whether our interceptor is
// behind the interceptor of kratos, which extracts the trace, or in front of it.
func TestGRPC(t *testing.T) {
	for _, front := range []bool{false, true} {
		t.Run(map[bool]string{false: "behind", true: "in front"}[front], func(t *testing.T) {
			s := newService(t)
			ours, err := waybillgrpc.NewServer(s.auth, waybillgrpc.Required())
			check(t, err)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			check(t, err)
			opts := []kgrpc.ServerOption{kgrpc.Listener(listener), kgrpc.Timeout(0),
				kgrpc.Middleware(tracing.Server(s.tracing...))}
			if front {
				// grpc.UnaryInterceptor is in front of the chain that kratos makes.
				opts = append(opts, kgrpc.Options(grpc.UnaryInterceptor(ours.UnaryInterceptor)))
			} else {
				opts = append(opts, kgrpc.UnaryInterceptor(ours.UnaryInterceptor))
			}
			server := kgrpc.NewServer(opts...)
			handled := make(chan trace.TraceID, 1)
			grpc_testing.RegisterTestServiceServer(server, greeter{handle: func(ctx context.Context) error {
				return handle(t, ctx, handled)
			}})
			done := make(chan error, 1)
			go func() { done <- server.Start(context.Background()) }()
			t.Cleanup(func() {
				check(t, server.Stop(context.Background()))
				check(t, <-done)
			})

			sender, err := waybillgrpc.NewClient(s.auth, waybillgrpc.AllowPlaintext())
			check(t, err)
			conn, err := kgrpc.DialInsecure(t.Context(), kgrpc.WithEndpoint(listener.Addr().String()), kgrpc.WithTimeout(0),
				kgrpc.WithMiddleware(tracing.Client(s.tracing...)),
				kgrpc.WithOptions(append(sender.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...))
			check(t, err)
			t.Cleanup(func() { check(t, conn.Close()) })
			client := grpc_testing.NewTestServiceClient(conn)
			s.travel(t, func(ctx context.Context) error {
				_, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
				return err
			}, handled)
		})
	}
}
