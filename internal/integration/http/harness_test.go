package integrationhttp

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	cell  = waybill.NewClaim[string]("cell")
	seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// kit is the OpenTelemetry and the Authority of one program.
type kit struct {
	auth   *waybill.Authority
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
	tracer *trace.TracerProvider
}

// newKit installs an SDK for one test. The propagator uses the global provider only.
func newKit(t testing.TB) *kit {
	t.Helper()
	k := &kit{
		auth:   waybilltest.Authority(t, waybill.Claims(cell, seats)),
		reader: metric.NewManualReader(),
		spans:  tracetest.NewSpanRecorder(),
	}
	k.tracer = trace.NewTracerProvider(trace.WithSpanProcessor(k.spans))
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(k.reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	return k
}

// counts returns what the meter "waybill" has counted: instrument and outcome, over all transports.
func (k *kit) counts(t testing.TB) map[string]int64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := k.reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != "waybill" {
			continue
		}
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				outcome, _ := p.Attributes.Value(attribute.Key("outcome"))
				counts[m.Name+" "+outcome.AsString()] += p.Value
			}
		}
	}
	return counts
}

// propagator returns the composite that a program sets.
func (k *kit) propagator(opts ...waybillprop.Option) propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, must(waybillprop.New(k.auth, opts...)))
}

// instrument wraps a handler in otelhttp.
func (k *kit) instrument(h http.Handler, p propagation.TextMapPropagator, opts ...otelhttp.Option) http.Handler {
	opts = append(opts, otelhttp.WithPropagators(p), otelhttp.WithTracerProvider(k.tracer))
	return otelhttp.NewHandler(h, "op", opts...)
}

// tracing wraps a transport in otelhttp.
func (k *kit) tracing(base http.RoundTripper, p propagation.TextMapPropagator) http.RoundTripper {
	return otelhttp.NewTransport(base, otelhttp.WithPropagators(p), otelhttp.WithTracerProvider(k.tracer))
}

// sending wraps a transport in ours, for these servers.
func (k *kit) sending(base http.RoundTripper, servers ...*httptest.Server) http.RoundTripper {
	opts := []waybillhttp.ClientOption{waybillhttp.Logger(slog.New(slog.DiscardHandler))}
	for _, s := range servers {
		u, _ := url.Parse(s.URL)
		opts = append(opts, waybillhttp.AllowHosts(u.Host))
	}
	return must(waybillhttp.NewTransport(k.auth, base, opts...))
}

// chain builds a handler of layers, the outermost first: "otelhttp > waybill".
func (k *kit) chain(t testing.TB, layers string, h http.Handler) http.Handler {
	t.Helper()
	names := strings.Split(layers, " > ")
	for i := len(names) - 1; i >= 0; i-- {
		switch names[i] {
		case "otelhttp":
			h = k.instrument(h, k.propagator())
		case "filtered":
			h = k.instrument(h, k.propagator(), otelhttp.WithFilter(func(*http.Request) bool { return false }))
		case "traceonly":
			h = k.instrument(h, propagation.TraceContext{})
		case "waybill":
			h = must(waybillhttp.NewServer(k.auth, waybillhttp.Required())).Middleware(h)
		case "open":
			h = must(waybillhttp.NewServer(k.auth)).Middleware(h)
		case "clone":
			h = cloning(h)
		case "timeout":
			h = http.TimeoutHandler(h, time.Minute, "timeout")
		default:
			t.Fatalf("no such layer: %q", names[i])
		}
	}
	return h
}

// cloning is a layer that passes on a copy of the request, with its own header map.
func cloning(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.Clone(r.Context())) })
}

var protocols = []struct {
	name  string
	http2 bool
}{{"http1", false}, {"http2", true}}

func serve(t testing.TB, http2 bool, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// base returns a transport that trusts the servers and uses their version of HTTP.
func base(t testing.TB, s *httptest.Server) http.RoundTripper {
	t.Helper()
	tr := s.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// get sends a request in ctx, with the tokens set by hand, and reads the response.
func get(t testing.TB, ctx context.Context, rt http.RoundTripper, url string, tokens ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Waybill"] = tokens
	resp, err := (&http.Client{Transport: rt}).Do(r)
	if err != nil {
		t.Errorf("GET %s: %v", url, err)
		return &http.Response{}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("GET %s: %v", url, err)
	}
	return resp
}

func issue(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

// must returns v. An error of a constructor fails the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
}
