package natstest

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// traced is a message with a trace and baggage.
func traced(t testing.TB, subject string) (*nats.Msg, trace.TraceID) {
	t.Helper()
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	user, err := baggage.NewMember("user", "ann")
	check(t, err)
	bag, err := baggage.New(user)
	check(t, err)
	msg := &nats.Msg{Subject: subject, Header: nats.Header{}}
	ctx := baggage.ContextWithBaggage(trace.ContextWithSpanContext(t.Context(), sc), bag)
	otel.GetTextMapPropagator().Inject(ctx, waybillnats.Carrier(msg.Header))
	return msg, sc.TraceID()
}

// A handler that extracts a trace with a composite propagator that includes waybillprop keeps its
// journey: it reads and changes claims, and its changes travel as they do without the propagator.
func TestExtractKeepsTheJourney(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	ours, err := waybillprop.New(auth)
	check(t, err)
	before := otel.GetTextMapPropagator()
	t.Cleanup(func() { otel.SetTextMapPropagator(before) })
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, ours))

	conn, stream := newConn(t, auth, q.nc), newStream(t, auth, q.js)
	// handle extracts, checks what arrived, and makes a change. It returns the extracted context.
	handle := func(ctx context.Context, h nats.Header, id trace.TraceID) context.Context {
		ctx = otel.GetTextMapPropagator().Extract(ctx, waybillnats.Carrier(h))
		if got := trace.SpanContextFromContext(ctx).TraceID(); got != id {
			t.Errorf("trace id %s, want %s", got, id)
		}
		if got := baggage.FromContext(ctx).Member("user").Value(); got != "ann" {
			t.Errorf("baggage %q, want %q", got, "ann")
		}
		if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
			t.Errorf("cell %q, error %v, want %q", cell, err, "eu-3")
		}
		note(t, waybill.Update(ctx, Seats.To(5)))
		return ctx
	}

	t.Run("Handler", func(t *testing.T) {
		msg, id := traced(t, "plain")
		serve(t, q.nc, "plain", conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
			handle(ctx, m.Header, id)
			note(t, m.Respond(nil))
		}))
		ctx := waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(1))
		_, err := conn.Request(timeout(t, ctx), msg)
		check(t, err)
		wantClaims(t, ctx, "eu-3", 5, nil)
	})
	t.Run("MicroHandler", func(t *testing.T) {
		msg, id := traced(t, "micro")
		serveMicro(t, q.nc, "micro", conn.MicroHandler(func(ctx context.Context, r micro.Request) {
			handle(ctx, nats.Header(r.Headers()), id)
			note(t, r.Respond(nil))
		}))
		ctx := waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(1))
		_, err := conn.Request(timeout(t, ctx), msg)
		check(t, err)
		wantClaims(t, ctx, "eu-3", 5, nil)
	})

	// A durable message returns nothing: the change travels with the call that the handler makes.
	onward := make(chan int, 1)
	serve(t, q.nc, "onward", conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		seats, _ := Seats.Get(ctx)
		note(t, m.Respond(nil))
		onward <- seats
	}))
	send := func(ctx context.Context) error {
		_, err := conn.Request(timeout(t, ctx), &nats.Msg{Subject: "onward"})
		return err
	}
	store := func(t *testing.T) trace.TraceID {
		msg, id := traced(t, "orders.new")
		_, err := stream.Publish(waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(1)), msg)
		check(t, err)
		return id
	}
	wantOnward := func(t *testing.T) {
		t.Helper()
		if got := receive(t, onward, "the onward call"); got != 5 {
			t.Errorf("seats %d in the onward call, want 5", got)
		}
		if got := q.answered(t); got != "+ACK" {
			t.Errorf("answer %q, want %q", got, "+ACK")
		}
	}
	cons := q.consumer(t)
	t.Run("Open", func(t *testing.T) {
		id := store(t)
		m, err := cons.Next(jetstream.FetchMaxWait(patience))
		check(t, err)
		ctx, err := stream.Open(t.Context(), m)
		check(t, err)
		check(t, send(handle(ctx, m.Headers(), id)))
		check(t, stream.Settle(ctx, m, nil))
		wantOnward(t)
	})
	t.Run("Consume", func(t *testing.T) {
		id := store(t)
		q.consume(t, auth, cons, func(ctx context.Context, m jetstream.Msg) error {
			return send(handle(ctx, m.Headers(), id))
		})
		wantOnward(t)
	})
}
