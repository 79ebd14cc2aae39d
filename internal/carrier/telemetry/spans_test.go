package telemetry_test

import (
	"context"
	"slices"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	tnoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// tracer is a provider that remembers its spans.
type tracer struct {
	embedded.TracerProvider
	names   []string
	started []*started
}

type started struct {
	span
	config trace.SpanConfig
	status codes.Code
	ended  bool
}

func (s *started) SetStatus(code codes.Code, _ string) { s.status = code }
func (s *started) End(...trace.SpanEndOption)          { s.ended = true }

func (r *tracer) Tracer(name string, _ ...trace.TracerOption) trace.Tracer {
	r.names = append(r.names, name)
	return oneTracer{r: r}
}

type oneTracer struct {
	tnoop.Tracer
	r *tracer
}

func (o oneTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	s := &started{span: span{recording: true, attrs: map[string]string{"name": name}}, config: trace.NewSpanStartConfig(opts...)}
	o.r.started = append(o.r.started, s)
	return trace.ContextWithSpan(ctx, s), s
}

func isInbox(subject string) bool { return subject == "inbox" }

func TestSpans(t *testing.T) {
	r := new(tracer)
	spans := telemetry.NewSpans(r)
	if !slices.Equal(r.names, []string{"waybill"}) || !spans.Live() {
		t.Errorf("got tracers %q, live %v; want waybill, live", r.names, spans.Live())
	}
	for _, test := range []struct {
		message telemetry.Message
		name    string
		attrs   string
	}{
		{telemetry.Message{Kind: trace.SpanKindProducer, Operation: "publish", Subject: "a.b", Temporary: isInbox}, "publish a.b",
			"messaging.destination.name=a.b,messaging.operation.name=publish,messaging.operation.type=publish,messaging.system=nats"},
		{telemetry.Message{Kind: trace.SpanKindClient, Operation: "request", Subject: "inbox", Temporary: isInbox}, "request",
			"messaging.destination.temporary=true,messaging.operation.name=request,messaging.operation.type=publish,messaging.system=nats"},
		{telemetry.Message{Kind: trace.SpanKindConsumer, Operation: "process", Subject: "a.*"}, "process a.*",
			"messaging.destination.name=a.*,messaging.operation.name=process,messaging.operation.type=process,messaging.system=nats"},
		{telemetry.Message{Kind: trace.SpanKindServer, Operation: "process", Subject: "inbox"}, "process inbox",
			"messaging.destination.name=inbox,messaging.operation.name=process,messaging.operation.type=process,messaging.system=nats"},
	} {
		r.started = nil
		ctx, span := spans.Start(t.Context(), test.message)
		if len(r.started) != 1 || trace.SpanFromContext(ctx) != trace.Span(r.started[0]) {
			t.Fatalf("%s: got %d spans, want one, in the context", test.name, len(r.started))
		}
		s := r.started[0]
		set := attribute.NewSet(s.config.Attributes()...)
		if got := set.Encoded(attribute.DefaultEncoder()); s.attrs["name"] != test.name || got != test.attrs || s.config.SpanKind() != test.message.Kind {
			t.Errorf("got span %q of kind %v with %s, want %q with %s", s.attrs["name"], s.config.SpanKind(), got, test.name, test.attrs)
		}
		span.Fail("timeout", "no answer")
		span.End()
		if s.status != codes.Error || s.attrs["error.type"] != "timeout" || !s.ended {
			t.Errorf("%s: got status %v, attributes %v, ended %v", test.name, s.status, s.attrs, s.ended)
		}
	}
}

// Spans that are off, and Spans without an SDK, start nothing and allocate nothing.
func TestSpansWithoutSDK(t *testing.T) {
	global, off := telemetry.NewSpans(nil), telemetry.Spans{}
	quiet := telemetry.NewSpans(tnoop.NewTracerProvider())
	message := telemetry.Message{Kind: trace.SpanKindConsumer, Operation: "process", Subject: "a"}
	for name, spans := range map[string]*telemetry.Spans{"global": &global, "noop": &quiet, "off": &off} {
		ctx := t.Context()
		var carrier propagation.TextMapCarrier = propagation.MapCarrier{"traceparent": "00-01000000000000000000000000000000-0200000000000000-01"}
		allocs := testing.AllocsPerRun(100, func() {
			got, span := spans.Start(spans.Extract(ctx, carrier), message)
			spans.Inject(got, carrier)
			span.Fail("x", "")
			span.End()
			if got != ctx {
				t.Errorf("%s: got another context, want the same", name)
			}
		})
		if spans.Live() || allocs != 0 {
			t.Errorf("%s: live %v, %v allocations; want neither", name, spans.Live(), allocs)
		}
	}
	// The global provider is asked again for each message.
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	r := new(tracer)
	otel.SetTracerProvider(r)
	if global.Start(t.Context(), message); !global.Live() || len(r.started) != 1 {
		t.Errorf("an SDK that is installed later: live %v, %d spans; want one", global.Live(), len(r.started))
	}
	if off.Live() || quiet.Live() {
		t.Error("an SDK that is installed later is used by Spans that are off, or whose provider does nothing")
	}
}

func TestReturnSuppressed(t *testing.T) {
	m := newMeter()
	r := telemetry.New("nats", m, nil)
	r.ReturnSuppressed(t.Context(), "events", "not an inbox")
	r.Oversized(t.Context(), "events")
	m.want(t, "suppressed", "waybill.inject outcome=too_large,transport=nats 1", "waybill.return outcome=suppressed,transport=nats 1")
}
