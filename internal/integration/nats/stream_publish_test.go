package natstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// settled waits for the result of an asynchronous publish.
func settled(t testing.TB, f jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	t.Helper()
	select {
	case ack := <-f.Ok():
		return ack, nil
	case err := <-f.Err():
		return nil, err
	case <-time.After(patience):
		t.Fatalf("waited %v for the stream", patience)
		panic("unreachable")
	}
}

// Many messages are published at once, each with the waybill of its context. The caller's message
// does not change.
func TestPublishAsync(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	stream := newStream(t, auth, q.js)
	msg := &nats.Msg{Subject: "orders.new", Header: nats.Header{"WAYBILL": {"by hand"}, "x": {"1"}}}
	before := maps.Clone(msg.Header)
	var futures []jetstream.PubAckFuture
	for i := range 20 {
		f, err := stream.PublishAsync(waybilltest.Context(t, auth, Cell.To(fmt.Sprint("c", i))), msg)
		check(t, err)
		futures = append(futures, f)
	}
	for i, f := range futures {
		ack, err := settled(t, f)
		check(t, err)
		m, err := q.orders.GetMsg(t.Context(), ack.Sequence)
		check(t, err)
		if got := spellings(m.Header); fmt.Sprint(got) != "[Waybill]" {
			t.Fatalf("stored with the headers %q, want %q", got, "Waybill")
		}
		wb, err := auth.Open(m.Header.Get("Waybill"))
		check(t, err)
		if cell, _ := Cell.Of(wb); cell != fmt.Sprint("c", i) {
			t.Errorf("message %d has cell %q", i, cell)
		}
	}
	if !reflect.DeepEqual(msg.Header, before) {
		t.Errorf("the caller's header became %v, want %v", msg.Header, before)
	}
	f, err := stream.PublishAsync(t.Context(), &nats.Msg{Subject: "orders.new"})
	check(t, err)
	ack, err := settled(t, f)
	check(t, err)
	m, err := q.orders.GetMsg(t.Context(), ack.Sequence)
	check(t, err)
	if got := spellings(m.Header); got != nil {
		t.Errorf("without a waybill, stored with the headers %q, want none", got)
	}
}

func TestPublishAsyncErrors(t *testing.T) {
	q := newQueue(t)
	now := newClock(0)
	auth := waybilltest.Authority(t, claims, now.option())
	stream := newStream(t, auth, q.js)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	if _, err := stream.PublishAsync(ctx, nil); !errors.Is(err, nats.ErrInvalidMsg) {
		t.Errorf("a nil message: error %v, want %v", err, nats.ErrInvalidMsg)
	}
	f, err := stream.PublishAsync(ctx, &nats.Msg{Subject: "of.no.stream"})
	check(t, err)
	if _, err := settled(t, f); !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("no stream: error %v, want %v", err, jetstream.ErrNoStreamResponse)
	}
	now.set(time.Hour)
	_, err = stream.PublishAsync(ctx, &nats.Msg{Subject: "orders.new"})
	if !errors.Is(err, waybill.ErrExpired) || !strings.Contains(err.Error(), "Reissue") {
		t.Errorf("an expired waybill: error %v, want %v and the advice to Reissue", err, waybill.ErrExpired)
	}
	if n := stored(t, q.orders); n != 0 {
		t.Errorf("%d messages stored, want none", n)
	}
}

// A stream that drops a message as a duplicate keeps the waybill of the first.
func TestDuplicate(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	stream := newStream(t, auth, q.js)
	for i, cell := range []string{"first", "second", "third"} {
		ctx := waybilltest.Context(t, auth, Cell.To(cell))
		msg := &nats.Msg{Subject: "orders.new"}
		ack, err := stream.Publish(ctx, msg, jetstream.WithMsgID("m1"))
		if i == 2 {
			var f jetstream.PubAckFuture
			f, err = stream.PublishAsync(ctx, msg, jetstream.WithMsgID("m1"))
			check(t, err)
			ack, err = settled(t, f)
		}
		check(t, err)
		if ack.Duplicate != (i > 0) {
			t.Errorf("publish %d is a duplicate: %v, want %v", i, ack.Duplicate, i > 0)
		}
		if len(msg.Header) != 0 {
			t.Errorf("the caller's message got the headers %v", msg.Header)
		}
	}
	got := make(chan string, 3)
	q.consume(t, auth, q.consumer(t), func(ctx context.Context, _ jetstream.Msg) error {
		cell, _ := Cell.Get(ctx)
		got <- cell
		return nil
	})
	if cell := receive(t, got, "the handler"); cell != "first" {
		t.Errorf("cell %q, want %q", cell, "first")
	}
	if a := q.answered(t); a != "+ACK" {
		t.Errorf("answer %q, want %q", a, "+ACK")
	}
	q.quiet(t)
	if n := len(got); n != 0 {
		t.Errorf("%d more messages handled, want none", n)
	}
}

// OnlySubjects also narrows the subjects of JetStream messages.
func TestStreamOnlySubjects(t *testing.T) {
	_, js, raw := newAcceptor(t)
	auth := waybilltest.Authority(t, claims)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	provider, counted := count(t)
	var log bytes.Buffer
	stream := newStream(t, auth, js, waybilljetstream.OnlySubjects("sent.own.>"),
		waybilljetstream.MeterProvider(provider), waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	async := func(ctx context.Context, msg *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
		f, err := stream.PublishAsync(ctx, msg)
		check(t, err)
		return settled(t, f)
	}
	for subject, sent := range map[string]bool{"sent.own.a": true, "sent.partner": false} {
		for _, publish := range []func(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error){
			stream.Publish, async,
		} {
			_, err := publish(ctx, &nats.Msg{Subject: subject})
			check(t, err)
			if got := len(spellings(next(t, raw).Header)) > 0; got != sent {
				t.Errorf("waybill published to %s: %v, want %v", subject, got, sent)
			}
		}
	}
	counted.want(t, "waybill.inject", "sent", 2)
	counted.want(t, "waybill.inject", "suppressed", 2)
	if got := strings.Count(log.String(), "destination=sent.partner"); got != 1 {
		t.Errorf("the suppression for sent.partner is logged %d times, want once:\n%s", got, &log)
	}
}
