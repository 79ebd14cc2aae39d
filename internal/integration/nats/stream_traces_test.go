package natstest

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// A trace continues over a stream: the publisher's span is the parent of the handler's, which
// describes the waybill and has the handler's error. The token is opened once. What Consume was
// started in has no part in the trace.
func TestTracesContinueOverStreams(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims, waybill.Traced(Cell))
	propagate(t, auth)
	tracers, ended := record(t)
	meters, counted := count(t)
	stream := newStream(t, auth, q.js, waybilljetstream.TracerProvider(tracers), waybilljetstream.MeterProvider(meters),
		waybilljetstream.DeadLetter("dead.orders"))
	cons := q.consumer(t)
	info, err := cons.Info(t.Context())
	check(t, err)
	startup, starting := tracers.Tracer("test").Start(t.Context(), "startup")
	defer starting.End()
	seen := make(chan trace.SpanContext, 64)
	run, err := stream.Consume(startup, cons, func(ctx context.Context, m jetstream.Msg) error {
		if cell, err := Cell.Lookup(ctx); cell != "eu-3" && string(m.Data()) != "bare" {
			t.Errorf("cell %q, error %v, want eu-3", cell, err)
		}
		seen <- trace.SpanContextFromContext(ctx)
		if string(m.Data()) == "fail" {
			return errors.New("failed on purpose")
		}
		return nil
	})
	check(t, err)
	t.Cleanup(run.Stop)
	for name, publish := range map[string]func(context.Context, *nats.Msg) error{
		"Publish": func(ctx context.Context, m *nats.Msg) error {
			_, err := stream.Publish(ctx, m)
			return err
		},
		"PublishAsync": func(ctx context.Context, m *nats.Msg) error {
			f, err := stream.PublishAsync(ctx, m)
			check(t, err)
			_, err = settled(t, f)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended.Reset()
			ctx, root := tracers.Tracer("test").Start(waybilltest.Context(t, auth, Cell.To("eu-3")), "root")
			defer root.End()
			check(t, publish(ctx, &nats.Msg{Subject: "orders.new"}))
			receive(t, seen, "the handler")
			sent, processed := ended.named(t, "publish orders.new"), ended.named(t, "process "+info.Stream)
			if got, want := sent.Parent().SpanID(), root.SpanContext().SpanID(); got != want {
				t.Errorf("the publisher's span has parent %s, want %s", got, want)
			}
			if got, want := processed.Parent().SpanID(), sent.SpanContext().SpanID(); got != want {
				t.Errorf("the handler's span has parent %s, want %s", got, want)
			}
			if sent.SpanKind() != trace.SpanKindProducer || processed.SpanKind() != trace.SpanKindConsumer {
				t.Errorf("the spans are of kinds %v and %v", sent.SpanKind(), processed.SpanKind())
			}
			want := conventional(info.Stream, "process", "process") + ",waybill.claim.cell=eu-3,waybill.outcome=ok"
			if got := attributes(processed); got != want {
				t.Errorf("the handler's span has attributes\n%s, want\n%s", got, want)
			}
			if got := processed.Status().Code; got != codes.Unset {
				t.Errorf("the handler's span has status %v, want none", got)
			}
		})
	}
	counted.want(t, "waybill.open", "ok", 2)
	counted.want(t, "waybill.open", "absent", 0)

	ended.Reset()
	_, err = q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.new", Data: []byte("bare")})
	check(t, err)
	if sc := receive(t, seen, "the handler"); sc.TraceID() == starting.SpanContext().TraceID() || !sc.IsValid() {
		t.Errorf("a message without a trace has trace %s, want its own", sc.TraceID())
	}
	ended.named(t, "process "+info.Stream)
	ended.Reset()
	_, err = stream.Publish(waybilltest.Context(t, auth, Cell.To("eu-3")), &nats.Msg{Subject: "orders.new", Data: []byte("fail")})
	check(t, err)
	receive(t, seen, "the handler")
	if got := ended.named(t, "process "+info.Stream); got.Status().Code != codes.Error {
		t.Errorf("the span of a handler that failed has status %v, want an error", got.Status())
	}
}

// Open continues the trace of a message, unless WithoutTraces is set.
func TestOpenContinuesTheTrace(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	cons := q.consumer(t)
	for _, off := range []bool{false, true} {
		var opts []waybilljetstream.Option
		if off {
			opts = append(opts, waybilljetstream.WithoutTraces())
		}
		stream := newStream(t, auth, q.js, opts...)
		msg, id := traced(t, "orders.new")
		_, err := stream.Publish(waybilltest.Context(t, auth, Cell.To("eu-3")), msg)
		check(t, err)
		m, err := cons.Next(jetstream.FetchMaxWait(patience))
		check(t, err)
		ctx, err := stream.Open(t.Context(), m)
		check(t, err)
		if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
			t.Errorf("off %v: cell %q, error %v, want eu-3", off, cell, err)
		}
		if got := trace.SpanContextFromContext(ctx).TraceID(); (got == id) == off {
			t.Errorf("off %v: trace %s, the message's is %s", off, got, id)
		}
		check(t, stream.Settle(ctx, m, nil))
	}
}
