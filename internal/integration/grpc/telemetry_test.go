package grpctest

import (
	"context"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	experimental "google.golang.org/grpc/experimental/opentelemetry"
	"google.golang.org/grpc/stats/opentelemetry"
)

// reader reads the global metrics: the propagator has no provider of its own.
var reader = metric.NewManualReader()

func TestMain(m *testing.M) {
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	os.Exit(m.Run())
}

// counts returns the counters "waybill.*" of all transports, by "name outcome".
func counts(t *testing.T) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != "waybill" {
			continue
		}
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, point := range sum.DataPoints {
				outcome, _ := point.Attributes.Value("outcome")
				sums[m.Name+" "+outcome.AsString()] += point.Value
			}
		}
	}
	return sums
}

// since checks what was counted since an earlier look.
func since(t *testing.T, before, want map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	for name, n := range counts(t) {
		if n != before[name] {
			got[name] = n - before[name]
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("metrics: got %v, want %v", got, want)
	}
}

// instrumentation is OpenTelemetry's of gRPC, with the spans of its servers as they end.
type instrumentation struct {
	spans    serverSpans
	provider trace.TracerProvider
	props    propagation.TextMapPropagator
	opts     []otelgrpc.Option
}

func instrument(with ...propagation.TextMapPropagator) *instrumentation {
	i := &instrumentation{spans: make(serverSpans, 64)}
	i.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(i.spans))
	with = append([]propagation.TextMapPropagator{propagation.TraceContext{}, propagation.Baggage{}}, with...)
	i.props = propagation.NewCompositeTextMapPropagator(with...)
	i.opts = []otelgrpc.Option{otelgrpc.WithTracerProvider(i.provider), otelgrpc.WithPropagators(i.props)}
	return i
}

func (i *instrumentation) server() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(i.opts...))}
}

// plugin is what gRPC itself brings along, in place of otelgrpc.
func (i *instrumentation) plugin() []grpc.ServerOption {
	return []grpc.ServerOption{opentelemetry.ServerOption(opentelemetry.Options{
		TraceOptions: experimental.TraceOptions{TracerProvider: i.provider, TextMapPropagator: i.props},
	})}
}

func (i *instrumentation) client() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(i.opts...))}
}

// serverSpans receives a server's span when it ends, which is after the client has its answer.
type serverSpans chan sdktrace.ReadOnlySpan

func (s serverSpans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (s serverSpans) OnEnd(span sdktrace.ReadOnlySpan) {
	if span.SpanKind() == trace.SpanKindServer {
		s <- span
	}
}

func (s serverSpans) Shutdown(context.Context) error   { return nil }
func (s serverSpans) ForceFlush(context.Context) error { return nil }

func (s serverSpans) next(t *testing.T) sdktrace.ReadOnlySpan {
	t.Helper()
	select {
	case span := <-s:
		return span
	case <-time.After(10 * time.Second):
		t.Fatal("a server's span does not end")
		return nil
	}
}

// attributes returns those of a span whose names begin with "waybill.".
func attributes(span sdktrace.ReadOnlySpan) map[string]string {
	values := map[string]string{}
	for _, a := range span.Attributes() {
		if strings.HasPrefix(string(a.Key), "waybill.") {
			values[string(a.Key)] = a.Value.AsString()
		}
	}
	return values
}
