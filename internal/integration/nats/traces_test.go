package natstest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// propagate sets the global propagator, with one of waybills, until the test ends.
func propagate(t testing.TB, auth *waybill.Authority, opts ...waybillprop.Option) {
	t.Helper()
	ours, err := waybillprop.New(auth, opts...)
	check(t, err)
	before := otel.GetTextMapPropagator()
	t.Cleanup(func() { otel.SetTextMapPropagator(before) })
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, ours))
}

// spans are the spans that ended.
type spans struct{ *tracetest.SpanRecorder }

func record(t testing.TB) (*sdktrace.TracerProvider, spans) {
	s := spans{tracetest.NewSpanRecorder()}
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s))
	t.Cleanup(func() { check(t, p.Shutdown(context.Background())) })
	return p, s
}

// named waits for the span of that name: a handler's span may end after the reply has come.
func (s spans) named(t testing.TB, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, span := range s.Ended() {
			if span.Name() == name {
				return span
			}
		}
	}
	t.Fatalf("no span %q ended in %v", name, patience)
	return nil
}

// attributes returns a span's attributes, except those of the waybill's identity.
func attributes(span sdktrace.ReadOnlySpan) string {
	var all []attribute.KeyValue
	for _, kv := range span.Attributes() {
		if kv.Key != "waybill.sid" && kv.Key != "waybill.kid" {
			all = append(all, kv)
		}
	}
	set := attribute.NewSet(all...)
	return set.Encoded(attribute.DefaultEncoder())
}

func attributeOf(span sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range span.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

const messaging = "messaging.destination.name=%s,messaging.operation.name=%o,messaging.operation.type=%t,messaging.system=nats"

func conventional(destination, operation, kind string) string {
	return strings.NewReplacer("%s", destination, "%o", operation, "%t", kind).Replace(messaging)
}

// A trace continues from the caller over each way to send to each kind of handler, and from the
// handler onward, by the transport alone. The handler's span describes the waybill. The propagator
// of waybills in the global composite opens no token and hides no journey.
func TestTracesContinue(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims, waybill.Traced(Cell))
	for _, c := range []struct {
		name         string
		micro        bool
		operation    string
		client, kind trace.SpanKind
		send         func(*waybillnats.Conn) send
	}{
		{"Publish", false, "publish", trace.SpanKindProducer, trace.SpanKindConsumer, func(c *waybillnats.Conn) send { return c.Publish }},
		{"Request", false, "request", trace.SpanKindClient, trace.SpanKindServer, request},
		{"RequestMany", false, "request", trace.SpanKindClient, trace.SpanKindServer, func(c *waybillnats.Conn) send {
			return func(ctx context.Context, msg *nats.Msg) error {
				_, err := gather(t, ctx, c, msg, waybillnats.Replies{Max: 1})
				return err
			}
		}},
		{"micro", true, "request", trace.SpanKindClient, trace.SpanKindServer, request},
	} {
		t.Run(c.name, func(t *testing.T) {
			tracers, ended := record(t)
			meters, counted := count(t)
			before := otel.GetMeterProvider()
			otel.SetMeterProvider(meters) // of the propagator
			defer otel.SetMeterProvider(before)
			propagate(t, auth)
			conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers), waybillnats.MeterProvider(meters), waybillnats.RequireClaims(Cell))
			onward := listen(t, nc, "onward."+c.name)
			handle := func(ctx context.Context) {
				note(t, waybill.Update(ctx, Seats.To(4)))
				note(t, conn.Publish(ctx, &nats.Msg{Subject: onward.Subject}))
			}
			if subject := "traced-" + c.name; c.micro {
				serveMicro(t, nc, subject, conn.MicroHandler(func(ctx context.Context, r micro.Request) {
					handle(ctx)
					note(t, r.Respond(nil))
				}))
			} else {
				serve(t, nc, subject, conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
					handle(ctx)
					if m.Reply != "" {
						note(t, m.Respond(nil))
					}
				}))
			}
			ctx, root := tracers.Tracer("test").Start(waybilltest.Context(t, auth, Cell.To("eu-3")), "root")
			defer root.End()
			check(t, c.send(conn)(timeout(t, ctx), &nats.Msg{Subject: "traced-" + c.name}))
			if c.operation == "request" {
				wantClaims(t, ctx, "eu-3", 4, nil)
			}

			sent := ended.named(t, c.operation+" traced-"+c.name)
			processed := ended.named(t, "process traced-"+c.name)
			published := ended.named(t, "publish "+onward.Subject)
			if got, want := sent.Parent().SpanID(), root.SpanContext().SpanID(); got != want {
				t.Errorf("the sender's span has parent %s, want %s", got, want)
			}
			if got, want := processed.Parent().SpanID(), sent.SpanContext().SpanID(); got != want {
				t.Errorf("the handler's span has parent %s, want %s", got, want)
			}
			if got, want := published.Parent().SpanID(), processed.SpanContext().SpanID(); got != want {
				t.Errorf("the onward span has parent %s, want %s", got, want)
			}
			m := next(t, onward)
			if got, want := m.Header.Get("traceparent"), published.SpanContext().SpanID().String(); !strings.Contains(got, want) {
				t.Errorf("the onward message has traceparent %q, want the span %s", got, want)
			}
			if sent.SpanKind() != c.client || processed.SpanKind() != c.kind {
				t.Errorf("the spans are of kinds %v and %v, want %v and %v", sent.SpanKind(), processed.SpanKind(), c.client, c.kind)
			}
			if got, want := attributes(sent), conventional("traced-"+c.name, c.operation, "publish"); got != want {
				t.Errorf("the sender's span has attributes\n%s, want\n%s", got, want)
			}
			want := conventional("traced-"+c.name, "process", "process") + ",waybill.claim.cell=eu-3,waybill.outcome=ok"
			if got := attributes(processed); got != want {
				t.Errorf("the handler's span has attributes\n%s, want\n%s", got, want)
			}
			wb, err := waybill.FromContext(ctx)
			check(t, err)
			if got := attributeOf(processed, "waybill.sid"); got != wb.ID() {
				t.Errorf("the handler's span has waybill.sid %q, want %q", got, wb.ID())
			}
			counted.want(t, "waybill.open", "ok", 1)
			counted.want(t, "waybill.open", "absent", 0)
		})
	}
}

// request is a send that waits for the answer.
func request(c *waybillnats.Conn) send {
	return func(ctx context.Context, msg *nats.Msg) error {
		_, err := c.Request(ctx, msg)
		return err
	}
}

// Spans of refused messages, of answers that report an error, of panics, and of requests without an
// answer are marked as failed.
func TestFailedSpans(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	tracers, ended := record(t)
	conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers), waybillnats.RequireClaims(Cell))
	serve(t, nc, "refused", conn.Handler(func(context.Context, *waybillnats.Msg) { t.Error("the handler runs") }))
	serve(t, nc, "failing", conn.Handler(func(_ context.Context, m *waybillnats.Msg) {
		note(t, m.RespondMsg(&nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {"409"}, micro.ErrorHeader: {"sold out"}}}))
	}))
	serveMicro(t, nc, "micro", conn.MicroHandler(func(_ context.Context, r micro.Request) { note(t, r.Error("500", "no", nil)) }))
	panicking := conn.Handler(func(context.Context, *waybillnats.Msg) { panic("of the handler") })
	serve(t, nc, "panicking", func(m *nats.Msg) {
		defer func() {
			_ = recover()
			note(t, m.Respond(nil))
		}()
		panicking(m)
	})
	with := func() context.Context { return timeout(t, waybilltest.Context(t, auth, Cell.To("eu-3"))) }
	for subject, ctx := range map[string]context.Context{"refused": timeout(t, t.Context()), "failing": with(), "micro": with(), "panicking": with()} {
		_, err := conn.Request(ctx, &nats.Msg{Subject: subject})
		check(t, err)
	}
	if _, err := conn.Request(with(), &nats.Msg{Subject: "nobody"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("error %v, want no responders", err)
	}
	for name, kind := range map[string]string{
		"process refused": "absent", "request refused": "401",
		"process failing": "409", "request failing": "409",
		"process micro": "500", "request micro": "500",
		"process panicking": "panic", "request nobody": "no_responders",
	} {
		span := ended.named(t, name)
		if got := attributeOf(span, "error.type"); span.Status().Code != codes.Error || got != kind {
			t.Errorf("%s: status %v, error.type %q, want an error of type %q", name, span.Status(), got, kind)
		}
	}
	if span := ended.named(t, "request panicking"); span.Status().Code != codes.Unset {
		t.Errorf("the request that got an answer has status %v, want none", span.Status())
	}
	if got := attributeOf(ended.named(t, "process refused"), "waybill.outcome"); got != "absent" {
		t.Errorf("the span of the refused message has waybill.outcome %q, want absent", got)
	}
}

// The span of a message to an inbox does not name it, whatever its prefix.
func TestInboxIsNotNamed(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	tracers, ended := record(t)
	conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers))
	for _, inbox := range []string{nats.NewInbox(), strings.Replace(nats.NewInbox(), "_INBOX", "private", 1)} {
		ended.Reset()
		serve(t, nc, inbox, conn.Handler(func(context.Context, *waybillnats.Msg) {}))
		check(t, conn.Publish(t.Context(), &nats.Msg{Subject: inbox}))
		for _, name := range []string{"publish", "process"} {
			if got := attributes(ended.named(t, name)); strings.Contains(got, inbox) || !strings.Contains(got, "messaging.destination.temporary=true") {
				t.Errorf("%s: attributes %s, want a temporary destination without a name", name, got)
			}
		}
	}
	// A subscription with wildcards is named by its own subject.
	serve(t, nc, "orders.*", conn.Handler(func(context.Context, *waybillnats.Msg) {}))
	check(t, conn.Publish(t.Context(), &nats.Msg{Subject: "orders.123"}))
	ended.named(t, "process orders.*")
}

// WithoutTraces reads and writes no trace, and starts no spans.
func TestWithoutTraces(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	tracers, ended := record(t)
	conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers), waybillnats.WithoutTraces())
	got := make(chan trace.SpanContext, 1)
	header := make(chan nats.Header, 1)
	serve(t, nc, "quotes", conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		got <- trace.SpanContextFromContext(ctx)
		header <- m.Header
	}))
	msg, _ := traced(t, "quotes")
	check(t, nc.PublishMsg(msg))
	if sc := receive(t, got, "the message"); sc.IsValid() {
		t.Errorf("the handler has the trace %s, want none", sc.TraceID())
	}
	receive(t, header, "the header")
	ctx, root := tracers.Tracer("test").Start(waybilltest.Context(t, auth, Cell.To("eu-3")), "root")
	check(t, conn.Publish(ctx, &nats.Msg{Subject: "quotes"}))
	receive(t, got, "the message")
	if h := receive(t, header, "the header"); len(h) > 0 {
		t.Errorf("headers %v were sent, want none besides the waybill", h)
	}
	root.End()
	if all := ended.Ended(); len(all) != 1 {
		t.Errorf("%d spans, want only the test's own", len(all))
	}
}

// Handlers have the values and the end of the base context, and neither its waybill nor its span.
func TestBaseContext(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	tracers, ended := record(t)
	type key struct{}
	base, stop := context.WithCancel(context.WithValue(waybilltest.Context(t, auth, Cell.To("eu-9")), key{}, "value"))
	base, root := tracers.Tracer("test").Start(base, "root")
	defer root.End()
	conn := newConn(t, auth, nc, waybillnats.BaseContext(base), waybillnats.TracerProvider(tracers))
	contexts := make(chan context.Context, 1)
	started := make(chan struct{})
	serve(t, nc, "plain", conn.Handler(func(ctx context.Context, _ *waybillnats.Msg) {
		close(started)
		<-ctx.Done()
		contexts <- ctx
	}))
	serveMicro(t, nc, "micro", conn.MicroHandler(func(ctx context.Context, r micro.Request) {
		note(t, r.Respond(nil))
		contexts <- ctx
	}))
	judge := func(name string, wantEnd bool) {
		t.Helper()
		ctx := receive(t, contexts, "the handler's context")
		if got, _ := ctx.Value(key{}).(string); got != "value" {
			t.Errorf("%s: the handler sees value %q, want the base context's", name, got)
		}
		if _, err := waybill.FromContext(ctx); !errors.Is(err, waybill.ErrNoWaybill) && !errors.Is(err, waybill.ErrCommitted) {
			t.Errorf("%s: waybill error %v, want none inherited", name, err)
		}
		if got := ctx.Err() != nil; got != wantEnd {
			t.Errorf("%s: ended %v, want %v", name, got, wantEnd)
		}
		if span := ended.named(t, "process "+name); span.Parent().IsValid() || span.SpanContext().TraceID() == root.SpanContext().TraceID() {
			t.Errorf("%s: the handler's span continues the base context's trace", name)
		}
	}
	_, err := nc.RequestWithContext(timeout(t, t.Context()), "micro", nil)
	check(t, err)
	judge("micro", false)
	check(t, nc.Publish("plain", nil))
	receive(t, started, "the handler")
	stop()
	judge("plain", true)
}

// A propagator that injects every waybill does not send one to a subject that is not approved, and
// none under a second spelling.
func TestInjectionApprovesNothing(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth, waybillprop.InsecureInjectAlways())
	conn := newConn(t, auth, nc, waybillnats.OnlySubjects("approved"))
	for subject, want := range map[string]int{"approved": 1, "foreign": 0} {
		sub := listen(t, nc, subject)
		check(t, conn.Publish(waybilltest.Context(t, auth, Cell.To("eu-3")), &nats.Msg{Subject: subject}))
		if got := spellings(next(t, sub).Header); len(got) != want {
			t.Errorf("%s: the message has headers %q, want %d", subject, got, want)
		}
	}
}

// To a server without header support, messages go without their trace.
func TestTracesNeedHeaders(t *testing.T) {
	nc := connect(t, start(t, func(o *server.Options) { o.NoHeaderSupport = true }))
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	tracers, ended := record(t)
	conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers))
	serve(t, nc, "quotes", conn.Handler(func(_ context.Context, m *waybillnats.Msg) { note(t, m.Respond(nil)) }))
	ctx, root := tracers.Tracer("test").Start(timeout(t, t.Context()), "root")
	defer root.End()
	_, err := conn.Request(ctx, &nats.Msg{Subject: "quotes"})
	check(t, err)
	ended.named(t, "request quotes")
}
