package natstest

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

const terminated = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"

// Every message refused for its own fault becomes a dead letter and is then terminated, with the
// stable reason only.
func TestRefusedMessages(t *testing.T) {
	q := newQueue(t)
	ordinary := waybilltest.Authority(t, claims)
	cases := refusals(t)
	advisories, raw := listen(t, q.nc, terminated), listen(t, q.nc, terminated)
	var tokens []string
	var times []time.Time
	for i, c := range cases {
		h := c.header(t)
		for _, values := range h {
			tokens = append(tokens, values...)
		}
		for name, value := range map[string]string{
			"nats-x": "lower", "Nats-Expected-Stream": "ORDERS", "Nats-Msg-Id": "m" + strconv.Itoa(i), "X-App": "kept",
			"waybill-reason": "none", "Waybill-Original-Nats-Rollup": "all",
		} {
			h[name] = []string{value}
		}
		msg := &nats.Msg{Subject: "orders.a." + strconv.Itoa(i), Header: h, Data: []byte(c.name)}
		ack, err := q.js.PublishMsg(t.Context(), msg)
		check(t, err)
		m, err := q.orders.GetMsg(t.Context(), ack.Sequence)
		check(t, err)
		times = append(times, m.Time)
	}
	q.consume(t, ordinary, q.consumer(t), func(_ context.Context, m jetstream.Msg) error {
		t.Errorf("the handler gets %q", m.Data())
		return nil
	}, waybilljetstream.RequireClaims(Seats), waybilljetstream.DeadLetter("dead.orders"))
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := nextAdvisory(t, advisories)
			if want := (advisory{uint64(i + 1), "waybill: " + c.reason}); a != want {
				t.Errorf("advisory %+v, want %+v", a, want)
			}
			text := string(next(t, raw).Data)
			for _, secret := range append(tokens, "secret-cell") {
				if len(secret) > 5 && strings.Contains(text, secret) {
					t.Errorf("the advisory has %q", secret)
				}
			}
			if got, want := q.answered(t), "+TERM waybill: "+c.reason; got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
			dead, err := q.dead.GetMsg(t.Context(), uint64(i+1))
			if err != nil {
				t.Fatalf("no dead letter when the message is terminated: %v", err)
			}
			if dead.Subject != "dead.orders" || string(dead.Data) != c.name {
				t.Errorf("dead letter on %q with %q, want %q with %q", dead.Subject, dead.Data, "dead.orders", c.name)
			}
			for name, want := range map[string]string{
				waybilljetstream.HeaderReason:           c.reason,
				waybilljetstream.HeaderStored:           times[i].UTC().Format(time.RFC3339Nano),
				waybilljetstream.HeaderStream:           "ORDERS",
				waybilljetstream.HeaderSequence:         strconv.Itoa(i + 1),
				waybilljetstream.HeaderSubject:          "orders.a." + strconv.Itoa(i),
				"X-App":                                 "kept",
				"Waybill-Original-nats-x":               "lower",
				"Waybill-Original-Nats-Expected-Stream": "ORDERS",
				"Waybill-Original-Nats-Msg-Id":          "m" + strconv.Itoa(i),
			} {
				wantHeader(t, dead.Header, name, want)
			}
			for _, name := range []string{"waybill-reason", "Waybill-Original-Nats-Rollup", "Nats-Expected-Stream", "nats-x"} {
				if got := dead.Header[name]; got != nil {
					t.Errorf("the dead letter has %s: %q", name, got)
				}
			}
			for name, values := range c.header(t) {
				if strings.EqualFold(name, waybill.Header) && len(dead.Header[name]) != len(values) {
					t.Errorf("the dead letter lacks the original %s", name)
				}
			}
		})
	}
	if n := stored(t, q.orders); n != 0 {
		t.Errorf("the work queue has %d messages, want none", n)
	}
}

// A waybill that was published after it expired is refused.
func TestPublishedAfterExpiry(t *testing.T) {
	q := newQueue(t)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	advisories := listen(t, q.nc, terminated)
	q.consume(t, waybilltest.Authority(t, claims), q.consumer(t), func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs")
		return nil
	})
	q.publish(t, past, "")
	if got, want := nextAdvisory(t, advisories), (advisory{1, "waybill: expired"}); got != want {
		t.Errorf("advisory %+v, want %+v", got, want)
	}
}

// A message whose dead letter could not be stored is not terminated.
func TestDeadLetterFails(t *testing.T) {
	q := newQueue(t)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	var log logBuffer
	auth := waybilltest.Authority(t, claims)
	run := q.consume(t, auth, q.consumer(t), func(context.Context, jetstream.Msg) error { return nil },
		waybilljetstream.DeadLetter("bound.to.no.stream"),
		waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	q.publish(t, past, "", Cell.To("secret-cell"))
	if got := q.answered(t); !strings.HasPrefix(got, "-NAK") {
		t.Errorf("answer %q, want a Nak", got)
	}
	if n := stored(t, q.orders); n != 1 {
		t.Errorf("the work queue has %d messages, want 1", n)
	}
	run.Stop()
	<-run.Closed()
	if got := log.String(); !strings.Contains(got, "no dead letter") || !strings.Contains(got, "stream=ORDERS") ||
		strings.Contains(got, "secret-cell") {
		t.Errorf("log %q, want one that names the stream and no claims", got)
	}
}

// A message that is refused several times, by one consumer or by several, has one dead letter.
func TestDeadLetterOnce(t *testing.T) {
	nc := connect(t, start(t))
	js, err := jetstream.New(nc)
	check(t, err)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events"}})
	check(t, err)
	dead, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	check(t, err)
	auth := waybilltest.Authority(t, claims)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "events", Header: nats.Header{"waybill": {"none"}}})
	check(t, err)
	stream := newStream(t, auth, js, waybilljetstream.DeadLetter("dead.events"))
	for range 2 {
		cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
		check(t, err)
		m, err := cons.Next()
		check(t, err)
		ctx, err := stream.Open(t.Context(), m)
		if err == nil {
			t.Fatal("a text that is no token was opened")
		}
		check(t, stream.Settle(ctx, m, err))
	}
	if n := stored(t, dead); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}
