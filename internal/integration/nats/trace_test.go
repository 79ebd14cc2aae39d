package natstest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// A message that carries a waybill is not traced by the server, which would publish all its headers
// in trace events. Other messages are. A message that is only traced carries no waybill.
func TestNoTraceEventHasTheToken(t *testing.T) {
	nc, js, raw := newAcceptor(t)
	auth := waybilltest.Authority(t, claims)
	serve(t, nc, "ask", func(m *nats.Msg) { note(t, m.Respond(nil)) })
	asked := listen(t, nc, "ask")
	events := listen(t, nc, "traces")
	var log logBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	provider, counted := count(t)
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider), waybillnats.Logger(logger))
	stream := newStream(t, auth, js, waybilljetstream.MeterProvider(provider), waybilljetstream.Logger(logger))
	with := timeout(t, waybilltest.Context(t, auth, Cell.To("eu-3")))
	without := timeout(t, t.Context())
	for _, c := range []struct {
		name    string
		subject string
		sub     *nats.Subscription
		send    func(context.Context, *nats.Msg) error
	}{
		{"Publish", "sent.a", raw, conn.Publish},
		{"Request", "ask", asked, func(ctx context.Context, m *nats.Msg) error {
			_, err := conn.Request(ctx, m)
			return err
		}},
		{"RequestMany", "ask", asked, func(ctx context.Context, m *nats.Msg) error {
			_, err := gather(t, ctx, conn, m, waybillnats.Replies{Max: 1})
			return err
		}},
		{"JetStream Publish", "sent.b", raw, func(ctx context.Context, m *nats.Msg) error {
			_, err := stream.Publish(ctx, m)
			return err
		}},
		{"JetStream PublishAsync", "sent.c", raw, func(ctx context.Context, m *nats.Msg) error {
			f, err := stream.PublishAsync(ctx, m)
			check(t, err)
			_, err = settled(t, f)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			traced := func() *nats.Msg {
				return &nats.Msg{Subject: c.subject, Header: nats.Header{"Nats-Trace-Dest": {"traces"}, "X": {"1"},
					"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}
			}
			check(t, c.send(with, traced()))
			got := next(t, c.sub)
			wantHeader(t, got.Header, "X", "1")
			wantHeader(t, got.Header, "Nats-Trace-Dest", "trace disabled") // because of the trace context
			if len(spellings(got.Header)) == 0 || got.Header["traceparent"] == nil {
				t.Errorf("sent with the headers %v, want the waybill and the trace", got.Header)
			}
			// The events of this message come after those of the first.
			check(t, c.send(without, traced()))
			wantHeader(t, next(t, c.sub).Header, "Nats-Trace-Dest", "traces")
			event := string(next(t, events).Data)
			if !strings.Contains(event, `"X":["1"]`) || strings.Contains(strings.ToLower(event), "waybill") {
				t.Errorf("trace event %s, want one of the message without a waybill", event)
			}
			flush(t, nc)
			if n, _, err := events.Pending(); n != 0 || err != nil {
				t.Errorf("%d more trace events (%v), want none", n, err)
			}
		})
	}
	counted.want(t, "waybill.inject", "untraced", 5)
	counted.want(t, "waybill.inject", "sent", 5)
	for _, subject := range []string{"sent.a", "sent.b", "sent.c", "ask"} {
		if n := strings.Count(log.String(), "trace destination removed"); n != 4 || !strings.Contains(log.String(), "destination="+subject) {
			t.Errorf("the log has %d lines about trace destinations, want one about %s:\n%s", n, subject, log.String())
		}
	}

	only := &nats.Msg{Subject: "sent.d", Header: nats.Header{"Nats-Trace-Dest": {"traces"}, "Nats-Trace-Only": {"True"}}}
	check(t, conn.Publish(with, only))
	event := string(next(t, events).Data)
	if !strings.Contains(event, "sent.d") || strings.Contains(strings.ToLower(event), "waybill") {
		t.Errorf("trace event %s, want one without a waybill", event)
	}
	flush(t, nc)
	if n, _, err := raw.Pending(); n != 0 || err != nil {
		t.Errorf("%d messages were delivered that are only to be traced (%v)", n, err)
	}
	counted.want(t, "waybill.inject", "suppressed", 1)
}

// A dead letter contains the token, and no trace destination of the message that it copies, which
// the server disables when it stores a message.
func TestDeadLetterIsNotTraced(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	past := waybilltest.Authority(t, claims, newClock(-1<<42).option())
	events := listen(t, q.nc, "traces")
	_, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.new", Header: nats.Header{
		"Waybill": {token(t, past)}, "Nats-Trace-Dest": {"traces"}, // by a stock client
	}})
	check(t, err)
	next(t, events)
	q.consume(t, auth, q.consumer(t), func(context.Context, jetstream.Msg) error { return nil })
	q.answered(t)
	letter, err := q.dead.GetMsg(t.Context(), 1)
	check(t, err)
	wantHeader(t, letter.Header, "Waybill-Original-Nats-Trace-Dest", "trace disabled")
	flush(t, q.nc)
	if n, _, err := events.Pending(); n != 0 || err != nil {
		t.Errorf("%d trace events of the dead letter (%v), want none", n, err)
	}
}
