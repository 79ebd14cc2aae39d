// Package tracing sets up OpenTelemetry in every process of the demo, and receives the spans of all
// of them over the broker. So the page can show traces with nothing else running.
//
// If OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set, every process also
// exports to that collector, by the SDK's own rules for headers, certificates and timeouts. The
// protocol is always OTLP over HTTP.
package tracing

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

// queue is how many spans wait for the next batch. The SDK drops what exceeds it without a word;
// its default of 2,048 was too little for a burst. A traced step makes about ten, so this is some
// hundred steps in one interval.
const queue = 8192

// interval is how long a span waits at most. One that waits in a process that is killed dies with
// it.
const interval = 100 * time.Millisecond

// Setup makes the provider of a replica and installs it. The spans go to the receiver over nc,
// unless that is nil. The returned function sends the spans that are left.
func Setup(replica string, nc *nats.Conn) (flush func(), err error) {
	ctx := context.Background()
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithSampler(sdktrace.ParentBased(roots{})),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", Role(replica)), attribute.String("service.instance.id", replica))),
	}
	export := func(e sdktrace.SpanExporter) {
		opts = append(opts, sdktrace.WithBatcher(e, sdktrace.WithMaxQueueSize(queue), sdktrace.WithBatchTimeout(interval)))
	}
	if nc != nil {
		export(exporter{nc, replica})
	}
	if Redirected() {
		e, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("tracing: %w", err)
		}
		export(e)
	}
	// If a collector is away, sixteen processes would report that ten times a second.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	provider := sdktrace.NewTracerProvider(opts...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return func() {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		provider.Shutdown(ctx)
	}, nil
}

// Redirected reports whether the environment names a collector of the user's own.
func Redirected() bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// tracer makes the spans that no instrumentation library makes: those around NATS, and the roots.
func tracer() trace.Tracer { return otel.Tracer("github.com/waybill-go/waybill/demo") }

// The names of the only root spans that are recorded, with all below them.
const (
	booking = "booking"
	step    = "step "
)

// Booking starts the trace of a booking.
func Booking(ctx context.Context) (context.Context, trace.Span) { return tracer().Start(ctx, booking) }

// Step starts the trace of a single step.
func Step(ctx context.Context, name string) (context.Context, trace.Span) {
	return tracer().Start(ctx, step+name)
}

// roots samples traces that begin with a booking or a step. Everything else that has no parent is
// not worth a trace here.
type roots struct{}

// ShouldSample implements the SDK's Sampler.
func (roots) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == booking || strings.HasPrefix(p.Name, step) {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.Drop}
}

// Description implements the SDK's Sampler.
func (roots) Description() string { return "roots" }

// Send starts the span of a message that is sent, and writes its context into the headers.
func Send(ctx context.Context, name string, m *nats.Msg) (context.Context, trace.Span) {
	ctx, span := tracer().Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer))
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	propagation.TraceContext{}.Inject(ctx, waybillnats.Carrier(m.Header))
	return ctx, span
}

// Receive starts the span of a message that came, as a child of the one that sent it.
func Receive(ctx context.Context, name string, header nats.Header) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, waybillnats.Carrier(header))
	return tracer().Start(ctx, name, trace.WithSpanKind(trace.SpanKindConsumer))
}
