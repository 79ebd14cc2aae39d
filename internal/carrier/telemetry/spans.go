package telemetry

import (
	"context"
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.26.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Spans starts the spans of messages, and carries trace contexts in their headers, for transports
// that OpenTelemetry has no instrumentation for. Propagators are the global ones. The zero Spans is
// off: it starts no spans, and extracts and injects nothing. Without an SDK, nothing is allocated.
type Spans struct {
	on      bool         // extracts and injects
	tracer  trace.Tracer // nil: starts no spans
	waiting bool         // the tracer has no SDK until the global provider has one
}

// NewSpans returns Spans whose spans the provider makes. The default is the global provider, also
// if its SDK is installed later.
func NewSpans(provider trace.TracerProvider) Spans {
	s := Spans{on: true}
	if provider == nil {
		provider = otel.GetTracerProvider()
		s.waiting = !hasSDK(provider)
	}
	if !isNoop(provider) {
		s.tracer = provider.Tracer(Name)
	}
	return s
}

// Message describes a message for its span.
type Message struct {
	Kind      trace.SpanKind
	Operation string // publish, request, or process

	// Subject is the destination: the subject that a message is sent to, or that a subscription
	// has. It names the span, so it should not differ in every message.
	Subject string

	// Temporary reports whether the subject is an inbox. The span then does not mention it.
	Temporary func(subject string) bool
}

// Live reports whether spans are recorded, as far as is known without starting one.
func (s *Spans) Live() bool {
	return s.tracer != nil && (!s.waiting || hasSDK(otel.GetTracerProvider()))
}

// Start starts the span of a message, as the child of the span in ctx. Without an SDK it returns ctx
// and a Span that does nothing.
func (s *Spans) Start(ctx context.Context, m Message) (context.Context, Span) {
	if !s.Live() {
		return ctx, Span{}
	}
	kind := semconv.MessagingOperationTypePublish
	if m.Kind == trace.SpanKindConsumer || m.Kind == trace.SpanKindServer {
		kind = semconv.MessagingOperationTypeDeliver // its value is "process"
	}
	name, destination := m.Operation, semconv.MessagingDestinationTemporary(true)
	if m.Temporary == nil || !m.Temporary(m.Subject) {
		name, destination = name+" "+m.Subject, semconv.MessagingDestinationName(m.Subject)
	}
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(m.Kind), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingOperationName(m.Operation), kind, destination))
	return ctx, Span{span}
}

// Extract returns ctx with the trace and the baggage of a received message. The carrier must not
// show the waybill's headers, so that a propagator of waybills leaves the hop in ctx as it is.
func (s *Spans) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if !s.on {
		return ctx
	}
	return otel.GetTextMapPropagator().Extract(ctx, carrier)
}

// Inject writes the trace and the baggage of ctx into a message. The carrier must not write the
// waybill's headers: a propagator of waybills knows no destinations.
func (s *Spans) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if s.on {
		otel.GetTextMapPropagator().Inject(ctx, carrier)
	}
}

// WithoutSpan returns ctx without its span, for contexts that outlive many messages: theirs have
// their own traces.
func WithoutSpan(ctx context.Context) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, noop.Span{})
}

// Span is a span of a message. The zero Span does nothing.
type Span struct{ span trace.Span }

// Fail marks the span as failed. The kind of error is one of few; the description may be empty.
func (s Span) Fail(kind, description string) {
	if s.span == nil {
		return
	}
	s.span.SetStatus(codes.Error, description)
	s.span.SetAttributes(attribute.String(string(semconv.ErrorTypeKey), kind))
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// hasSDK reports whether the global provider records spans: it is neither the provider that
// OpenTelemetry has until an SDK is installed, nor one that does nothing. The API does not tell,
// and starting a span allocates in either case.
func hasSDK(global trace.TracerProvider) bool {
	return !isNoop(global) && reflect.TypeOf(global).String() != "*global.tracerProvider"
}

func isNoop(p trace.TracerProvider) bool {
	_, ok := p.(noop.TracerProvider)
	return ok
}
