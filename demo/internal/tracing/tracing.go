// Package tracing sets up OpenTelemetry in every process of the demo. Spans go to a collector over NATS, so that the
// demo needs nothing else running; a real fleet would name an OTLP exporter instead and change nothing else.
package tracing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

const subject = "demo.span"

// Span is what the collector keeps of a span.
type Span struct {
	Service  string // the replica
	Name     string
	Trace    string
	ID       string
	Parent   string // empty for the root
	Began    time.Time
	Duration time.Duration
}

// Setup makes the provider of a process and installs it.
func Setup(nc *nats.Conn, service string) {
	otel.SetTracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(bookings{})),
		// At once: a batch would die with a process that is killed.
		sdktrace.WithSyncer(exporter{nc, service}),
	))
	otel.SetTextMapPropagator(propagation.TraceContext{})
}

type exporter struct {
	nc      *nats.Conn
	service string
}

// ExportSpans implements the SDK's SpanExporter.
func (e exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		span := Span{
			Service: e.service, Name: s.Name(),
			Trace: s.SpanContext().TraceID().String(), ID: s.SpanContext().SpanID().String(),
			Began: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()),
		}
		if s.Parent().IsValid() {
			span.Parent = s.Parent().SpanID().String()
		}
		data, err := json.Marshal(span)
		if err != nil {
			return err
		}
		if err := e.nc.Publish(subject, data); err != nil {
			return err
		}
	}
	return e.nc.FlushTimeout(time.Second)
}

// Shutdown implements the SDK's SpanExporter.
func (e exporter) Shutdown(context.Context) error { return nil }

// tracer makes the spans that no instrumentation library makes: those around NATS, and the root.
func tracer() trace.Tracer { return otel.Tracer("github.com/waybill-go/waybill/demo") }

// booking is the name of the only root span that is recorded, with all below it.
const booking = "booking"

// Booking starts the trace of a booking.
func Booking(ctx context.Context) (context.Context, trace.Span) { return tracer().Start(ctx, booking) }

// bookings samples traces that begin with a booking. Everything else that has no parent is not worth a trace here.
type bookings struct{}

// ShouldSample implements the SDK's Sampler.
func (bookings) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == booking {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.Drop}
}

// Description implements the SDK's Sampler.
func (bookings) Description() string { return "bookings" }

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
