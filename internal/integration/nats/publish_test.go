package natstest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// seen is what a handler saw of a message.
type seen struct {
	cell   string
	err    error // of FromContext
	header nats.Header
	data   string
}

// see returns a handler that reports what it saw.
func see(to chan<- seen) func(context.Context, *waybillnats.Msg) {
	return func(ctx context.Context, m *waybillnats.Msg) {
		_, err := waybill.FromContext(ctx)
		cell, _ := Cell.Get(ctx)
		to <- seen{cell, err, m.Header, string(m.Data)}
	}
}

// spellings returns the spellings of the waybill's headers that are in h.
func spellings(h nats.Header) (found []string) {
	for k := range h {
		if strings.EqualFold(k, waybill.Header) || strings.EqualFold(k, waybill.HeaderReturn) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	return found
}

func TestPublish(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	saw := make(chan seen, 1)
	serve(t, nc, "quotes", newConn(t, auth, nc).Handler(see(saw)))
	raw := listen(t, nc, "quotes")

	journey := waybilltest.Context(t, auth, Cell.To("eu-3"))
	for _, c := range []struct {
		name string
		ctx  context.Context
		cell string
		err  error
		wire []string // spellings on the wire
	}{
		{"with a waybill", journey, "eu-3", nil, []string{"Waybill"}},
		{"without one", t.Context(), "", waybill.ErrNoWaybill, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := &nats.Msg{Subject: "quotes", Data: []byte("body"), Header: nats.Header{
				"waybill": {"by hand"}, "WAYBILL": {"copied"}, "Waybill-Update": {"copied"}, "x-trace": {"1", "2"},
			}}
			before := maps.Clone(msg.Header)
			check(t, newConn(t, auth, nc).Publish(c.ctx, msg))
			if !reflect.DeepEqual(msg.Header, before) {
				t.Errorf("the caller's header became %v, want %v", msg.Header, before)
			}
			if got := spellings(next(t, raw).Header); !slices.Equal(got, c.wire) {
				t.Errorf("headers on the wire %q, want %q", got, c.wire)
			}
			got := receive(t, saw, "the handler")
			if got.cell != c.cell || !errors.Is(got.err, c.err) || got.data != "body" {
				t.Errorf("the handler saw cell %q, error %v, body %q; want %q, %v, %q",
					got.cell, got.err, got.data, c.cell, c.err, "body")
			}
			if want := (nats.Header{"x-trace": {"1", "2"}}); !reflect.DeepEqual(got.header, want) {
				t.Errorf("the handler's header is %v, want %v", got.header, want)
			}
		})
	}
}

func TestPublishOfNothing(t *testing.T) {
	conn := newConn(t, waybilltest.Authority(t, claims), connect(t, start(t)))
	if err := conn.Publish(t.Context(), nil); !errors.Is(err, nats.ErrInvalidMsg) {
		t.Errorf("error of a nil message is %v, want %v", err, nats.ErrInvalidMsg)
	}
}

func TestQueueGroup(t *testing.T) {
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	const messages = 20
	cells := make(chan string, 2*messages)
	for range 3 {
		nc := connect(t, s)
		handler := newConn(t, auth, nc).Handler(func(ctx context.Context, _ *waybillnats.Msg) {
			cell, _ := Cell.Get(ctx)
			cells <- cell
		})
		_, err := nc.QueueSubscribe("quotes", "pricing", handler)
		check(t, err)
		flush(t, nc)
	}
	nc := connect(t, s)
	want := map[string]int{}
	for i := range messages {
		cell := strings.Repeat("x", i+1)
		want[cell]++
		ctx := waybilltest.Context(t, auth, Cell.To(cell))
		check(t, newConn(t, auth, nc).Publish(ctx, &nats.Msg{Subject: "quotes"}))
	}
	got := map[string]int{}
	for range messages {
		got[receive(t, cells, "a member of the group")]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("the group saw %v, want %v", got, want)
	}
}

// A handler's context inherits nothing from the subscriber's context or from other messages.
func TestHandlersDoNotShare(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	saw := make(chan seen, 1)
	serve(t, nc, "quotes", newConn(t, auth, nc).Handler(see(saw)))
	check(t, newConn(t, auth, nc).Publish(waybilltest.Context(t, auth, Cell.To("eu-3")), &nats.Msg{Subject: "quotes"}))
	if got := receive(t, saw, "the first message").cell; got != "eu-3" {
		t.Errorf("first message has cell %q, want %q", got, "eu-3")
	}
	check(t, nc.Publish("quotes", nil))
	if got := receive(t, saw, "the second message"); !errors.Is(got.err, waybill.ErrNoWaybill) {
		t.Errorf("second message has cell %q, error %v; want %v", got.cell, got.err, waybill.ErrNoWaybill)
	}
}

func TestOnlySubjects(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	raw := listen(t, nc, ">")
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	provider, counted := count(t)
	var log bytes.Buffer
	conn := newConn(t, auth, nc, waybillnats.OnlySubjects("shop.*.quotes", "stock.>"),
		waybillnats.MeterProvider(provider), waybillnats.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	for _, c := range []struct {
		subject string
		sent    bool
	}{
		{"shop.eu.quotes", true},
		{"stock.a", true},
		{"stock.a.b.c", true},
		{"stock", false},
		{"shop.quotes", false},
		{"shop.eu.quotes.x", false},
		{"partner.quotes", false},
		{"partner.quotes", false},
	} {
		check(t, conn.Publish(ctx, &nats.Msg{Subject: c.subject}))
		if got := len(spellings(next(t, raw).Header)) > 0; got != c.sent {
			t.Errorf("waybill sent to %s: %v, want %v", c.subject, got, c.sent)
		}
	}
	counted.want(t, "waybill.inject", "sent", 3)
	counted.want(t, "waybill.inject", "suppressed", 5)
	if got := strings.Count(log.String(), "destination=partner.quotes"); got != 1 {
		t.Errorf("the suppression for partner.quotes is logged %d times, want once:\n%s", got, &log)
	}
	if wb, _ := waybill.FromContext(ctx); strings.Contains(log.String(), wb.Token()) {
		t.Error("the log has the token")
	}

	for _, pattern := range []string{"", ".", "a..b", "a.", ">.a", "a b"} {
		_, err := waybillnats.New(auth, nc, waybillnats.OnlySubjects(pattern))
		if err == nil || !strings.Contains(err.Error(), "OnlySubjects") {
			t.Errorf("OnlySubjects(%q): error %v, want one that names it", pattern, err)
		}
	}
	if n, _, err := raw.Pending(); n != 0 || err != nil {
		t.Errorf("%d more messages were sent (%v), want none", n, err)
	}
}

// A message whose waybill has expired since it was received is not sent, with or without it.
func TestExpiredIsNotSent(t *testing.T) {
	nc := connect(t, start(t))
	now := newClock(0)
	auth := waybilltest.Authority(t, claims, now.option())
	raw := listen(t, nc, ">")
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	now.set(time.Hour)
	provider, counted := count(t)
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
	err := conn.Publish(ctx, &nats.Msg{Subject: "quotes"})
	if !errors.Is(err, waybill.ErrExpired) || !strings.Contains(err.Error(), "Reissue") {
		t.Errorf("Publish: error %v, want %v and the advice to Reissue", err, waybill.ErrExpired)
	}
	_, err = conn.Request(timeout(t, ctx), &nats.Msg{Subject: "quotes"})
	if !errors.Is(err, waybill.ErrExpired) {
		t.Errorf("Request: error %v, want %v", err, waybill.ErrExpired)
	}
	counted.want(t, "waybill.inject", "expired", 2)

	ctx, err = waybill.Reissue(ctx)
	check(t, err)
	check(t, newConn(t, auth, nc).Publish(ctx, &nats.Msg{Subject: "reissued"}))
	if got := next(t, raw).Subject; got != "reissued" {
		t.Errorf("the first message sent is to %q, want %q", got, "reissued")
	}
}

// An invalid waybill that ReportOnly let pass is not sent on.
func TestRefusedIsNotSent(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	raw := listen(t, nc, "quotes")
	ctx, hop := auth.Receive(t.Context(), []string{"no token"}, nil)
	if hop.Err() == nil {
		t.Fatal("a text that is no token was opened")
	}
	check(t, newConn(t, auth, nc).Publish(ctx, &nats.Msg{Subject: "quotes"}))
	if got := spellings(next(t, raw).Header); got != nil {
		t.Errorf("headers %q were sent, want none", got)
	}
}

// A server without header support carries no waybill. Messages that have one are not sent, and
// handlers that require one get no messages.
func TestServerWithoutHeaders(t *testing.T) {
	nc := connect(t, start(t, func(o *server.Options) { o.NoHeaderSupport = true }))
	auth := waybilltest.Authority(t, claims)
	raw := listen(t, nc, ">")
	ctx := timeout(t, waybilltest.Context(t, auth, Cell.To("eu-3")))
	msg := &nats.Msg{Subject: "with"}
	_, many := gather(t, ctx, newConn(t, auth, nc), msg, waybillnats.Replies{})
	_, one := newConn(t, auth, nc).Request(ctx, msg)
	for name, err := range map[string]error{
		"Publish": newConn(t, auth, nc).Publish(ctx, msg), "Request": one, "RequestMany": many,
	} {
		if !errors.Is(err, nats.ErrHeadersNotSupported) {
			t.Errorf("%s with a waybill: error %v, want %v", name, err, nats.ErrHeadersNotSupported)
		}
	}
	check(t, newConn(t, auth, nc).Publish(t.Context(), &nats.Msg{Subject: "without"}))
	if got := next(t, raw).Subject; got != "without" {
		t.Errorf("the first message sent is to %q, want %q", got, "without")
	}

	began := make(chan error, 1)
	serve(t, nc, "open", newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
		started, err := auth.Start(ctx, Cell.To("eu-4")) // it cannot be returned
		note(t, err)
		cell, _ := Cell.Get(started)
		began <- m.Respond([]byte(cell))
	}))
	serve(t, nc, "closed", newConn(t, auth, nc, waybillnats.Required()).Handler(func(context.Context, *waybillnats.Msg) {
		t.Error("the handler runs without the waybill that it requires")
	}))
	reply, err := newConn(t, auth, nc).Request(timeout(t, t.Context()), &nats.Msg{Subject: "open"})
	check(t, err)
	check(t, receive(t, began, "the handler"))
	if string(reply.Data) != "eu-4" {
		t.Errorf("reply %q, want %q without a returned token", reply.Data, "eu-4")
	}
	// The refusal consists of headers and cannot be sent, so the caller waits until its deadline.
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := newConn(t, auth, nc).Request(short, &nats.Msg{Subject: "closed"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
}

// The carrier works with any propagator, over the wire and with any spelling of traceparent.
func TestCarrierWithTraceContext(t *testing.T) {
	nc := connect(t, start(t))
	raw := listen(t, nc, "traced")
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	msg := &nats.Msg{Subject: "traced", Header: nats.Header{"Traceparent": {"from another span"}}}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(t.Context(), sc), waybillnats.Carrier(msg.Header))
	check(t, nc.PublishMsg(msg))
	got := next(t, raw)
	upper := nats.Header{"TRACEPARENT": got.Header["traceparent"]}
	for name, h := range map[string]nats.Header{"as written": got.Header, "in upper case": upper} {
		ctx := propagation.TraceContext{}.Extract(t.Context(), waybillnats.Carrier(h))
		if id := trace.SpanContextFromContext(ctx).TraceID(); id != sc.TraceID() {
			t.Errorf("%s, %v: trace id %s, want %s", name, h, id, sc.TraceID())
		}
	}
}
