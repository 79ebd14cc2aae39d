package natstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestConsume(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	msg := &nats.Msg{Subject: "orders.new", Data: []byte("body"), Header: nats.Header{
		"WAYBILL": {"by hand"}, "waybill-update": {"copied"}, "x": {"1"},
	}}
	before := maps.Clone(msg.Header)
	ack, err := newStream(t, auth, q.js).Publish(ctx, msg, jetstream.WithMsgID("m1"))
	check(t, err)
	if ack.Stream != "ORDERS" {
		t.Errorf("stored in %q, want %q", ack.Stream, "ORDERS")
	}
	if !reflect.DeepEqual(msg.Header, before) {
		t.Errorf("the caller's header became %v, want %v", msg.Header, before)
	}
	raw, err := q.orders.GetMsg(t.Context(), 1)
	check(t, err)
	if got := spellings(raw.Header); fmt.Sprint(got) != "[Waybill]" {
		t.Errorf("stored with the headers %q, want %q", got, "Waybill")
	}

	provider, counted := count(t)
	saw := make(chan nats.Header, 1)
	// The context passed to Consume has its own journey, which no message inherits.
	own := waybilltest.Context(t, auth, Cell.To("own"))
	var cell string
	counting := newStream(t, auth, q.js, waybilljetstream.MeterProvider(provider), waybilljetstream.DeadLetter("dead.orders"))
	run, err := counting.Consume(own, q.consumer(t), func(ctx context.Context, m jetstream.Msg) error {
		if cell, _ = Cell.Get(ctx); cell != "" {
			note(t, waybill.Update(ctx, Cell.To("eu-4"))) // for what the handler sends on
		}
		saw <- m.Headers()
		return nil
	})
	check(t, err)
	defer run.Stop()
	want := nats.Header{"x": {"1"}, "Nats-Msg-Id": {"m1"}}
	if got := receive(t, saw, "the handler"); !reflect.DeepEqual(got, want) {
		t.Errorf("the handler's header is %v, want %v", got, want)
	}
	if cell != "eu-3" {
		t.Errorf("cell %q, want %q", cell, "eu-3")
	}
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer %q, want %q", got, "+ACK")
	}
	_, err = newStream(t, auth, q.js).Publish(context.Background(), &nats.Msg{Subject: "orders.new"})
	check(t, err)
	receive(t, saw, "the handler of a message without a waybill")
	if cell != "" {
		t.Errorf("cell %q of a message without a waybill, want none", cell)
	}
	counted.want(t, "waybill.open", "ok", 1)
	counted.want(t, "waybill.open", "absent", 1)
}

func TestStreamPublishErrors(t *testing.T) {
	q := newQueue(t)
	now := newClock(0)
	auth := waybilltest.Authority(t, claims, now.option())
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	now.set(time.Hour)
	_, err := newStream(t, auth, q.js).Publish(ctx, &nats.Msg{Subject: "orders.new"})
	if !errors.Is(err, waybill.ErrExpired) || !strings.Contains(err.Error(), "Reissue") {
		t.Errorf("an expired waybill: error %v, want %v and the advice to Reissue", err, waybill.ErrExpired)
	}
	if n := stored(t, q.orders); n != 0 {
		t.Errorf("%d messages stored, want none", n)
	}
	if _, err := newStream(t, auth, q.js).Publish(ctx, nil); !errors.Is(err, nats.ErrInvalidMsg) {
		t.Errorf("a nil message: error %v, want %v", err, nats.ErrInvalidMsg)
	}
}

// The server gets exactly one answer: the one the handler sent, or else the one its error asks for.
func TestSettling(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	fail := errors.New("no seats")
	cases := []struct {
		name   string
		handle handler
		answer string
	}{
		{"nil", func(context.Context, jetstream.Msg) error { return nil }, "+ACK"},
		{"error", func(context.Context, jetstream.Msg) error { return fail }, `-NAK {"delay": 1000000000}`},
		{"ErrTerm", func(context.Context, jetstream.Msg) error { return waybilljetstream.ErrTerm }, "+TERM"},
		{"ErrTerm wrapped", func(context.Context, jetstream.Msg) error {
			return fmt.Errorf("%w: %w", waybilljetstream.ErrTerm, fail)
		}, "+TERM"},
		{"the error of an onward call", func(context.Context, jetstream.Msg) error {
			return fmt.Errorf("quote: %w", waybill.ErrExpired)
		}, `-NAK {"delay": 1000000000}`},
		{"acked, then failed", func(_ context.Context, m jetstream.Msg) error {
			return errors.Join(m.Ack(), fail)
		}, "+ACK"},
		{"acked, and told so", func(ctx context.Context, m jetstream.Msg) error { return m.DoubleAck(ctx) }, "+ACK"},
		{"naked, then fine", func(_ context.Context, m jetstream.Msg) error { return m.NakWithDelay(time.Hour) },
			`-NAK {"delay": 3600000000000}`},
		{"terminated, then fine", func(_ context.Context, m jetstream.Msg) error { return m.TermWithReason("own") },
			"+TERM own"},
		{"settled twice", func(_ context.Context, m jetstream.Msg) error {
			if err := errors.Join(m.Term(), m.InProgress()); !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
				t.Errorf("progress after Term: error %v, want %v", err, jetstream.ErrMsgAlreadyAckd)
			}
			return m.Ack()
		}, "+TERM"},
		{"in progress", func(_ context.Context, m jetstream.Msg) error { return m.InProgress() }, "+ACK"},
	}
	handlers := map[string]handler{}
	for _, c := range cases {
		handlers[c.name] = c.handle
	}
	once := func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 1 } // of redeliveries there is another test
	run := q.consume(t, auth, q.consumer(t, once), func(ctx context.Context, m jetstream.Msg) error {
		return handlers[string(m.Data())](ctx, m)
	})
	for _, c := range cases {
		q.publish(t, auth, c.name)
		if got := q.answered(t); got != c.answer {
			t.Errorf("%s: answer %q, want %q", c.name, got, c.answer)
		}
	}
	run.Stop()
	<-run.Closed()
	q.quiet(t)
}

// A redelivery is opened anew, and is no replay.
func TestRedelivery(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	type seen struct {
		cell  string
		seats int
		n     uint64
	}
	saw := make(chan seen, 2)
	q.consume(t, auth, q.consumer(t), func(ctx context.Context, m jetstream.Msg) error {
		meta, err := m.Metadata()
		note(t, err)
		cell, _ := Cell.Get(ctx)
		seats, _ := Seats.Get(ctx)
		note(t, waybill.Update(ctx, Seats.To(9)))
		saw <- seen{cell, seats, meta.NumDelivered}
		if meta.NumDelivered == 1 {
			return errors.New("try again")
		}
		return nil
	})
	q.publish(t, auth, "", Cell.To("eu-3"), Seats.To(1))
	for n := range uint64(2) {
		if got, want := receive(t, saw, "a delivery"), (seen{"eu-3", 1, n + 1}); got != want {
			t.Errorf("delivery %d: %+v, want %+v", n+1, got, want)
		}
	}
	if first, second := q.answered(t), q.answered(t); !strings.HasPrefix(first, "-NAK") || second != "+ACK" {
		t.Errorf("answers %q and %q, want a Nak and an Ack", first, second)
	}
}

// A waybill that expired while its message waited is accepted, but must be reissued before it is
// sent on.
func TestExpiredInQueue(t *testing.T) {
	q := newQueue(t)
	sender := waybilltest.Authority(t, claims)
	later := newClock(2 * time.Hour).option()
	auth, peer := waybilltest.Authority(t, claims, later), waybilltest.Authority(t, claims, later)
	onward := make(chan string, 1)
	demanding, conn := newConn(t, peer, q.nc, waybillnats.Required()), newConn(t, auth, q.nc)
	serve(t, q.nc, "seats", demanding.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		cell, _ := Cell.Get(ctx)
		onward <- cell
		note(t, m.Respond(nil))
	}))
	q.consume(t, auth, q.consumer(t), func(ctx context.Context, m jetstream.Msg) error {
		if cell, _ := Cell.Get(ctx); cell != "eu-3" {
			t.Errorf("cell %q, want %q", cell, "eu-3")
		}
		ask := &nats.Msg{Subject: "seats"}
		if _, err := conn.Request(timeout(t, ctx), ask); !errors.Is(err, waybill.ErrExpired) {
			t.Errorf("onward without Reissue: error %v, want %v", err, waybill.ErrExpired)
		}
		if n := len(onward); n != 0 {
			t.Errorf("the peer got %d calls, want none", n)
		}
		fresh, err := waybill.Reissue(ctx)
		if err != nil {
			return err
		}
		_, err = conn.Request(timeout(t, fresh), ask)
		return err
	})
	q.publish(t, sender, "", Cell.To("eu-3"))
	if got := receive(t, onward, "the onward call"); got != "eu-3" {
		t.Errorf("the peer saw cell %q, want %q", got, "eu-3")
	}
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer %q, want %q", got, "+ACK")
	}
}

// A message whose journey has ended while it waited can begin a new one, with the claims that the
// handler keeps.
func TestEndedInQueue(t *testing.T) {
	q := newQueue(t)
	sender := waybilltest.Authority(t, claims, waybill.Journey(time.Hour))
	auth := waybilltest.Authority(t, claims, newClock(2*time.Hour).option())
	onward := listen(t, q.nc, "onward")
	conn := newConn(t, auth, q.nc)
	q.consume(t, auth, q.consumer(t), func(ctx context.Context, m jetstream.Msg) error {
		cell, _ := Cell.Get(ctx)
		if _, err := waybill.Reissue(ctx); !errors.Is(err, waybill.ErrExpired) {
			t.Errorf("Reissue after the journey's end: error %v, want %v", err, waybill.ErrExpired)
		}
		if _, err := auth.Start(ctx, Cell.To(cell)); !errors.Is(err, waybill.ErrStarted) {
			t.Errorf("Start on a journey: error %v, want %v", err, waybill.ErrStarted)
		}
		fresh, err := auth.Start(waybill.Without(ctx), Cell.To(cell))
		if err != nil {
			return err
		}
		return conn.Publish(fresh, &nats.Msg{Subject: "onward"})
	})
	q.publish(t, sender, "", Cell.To("eu-3"))
	wb, err := auth.Open(next(t, onward).Header.Get("Waybill"))
	check(t, err)
	if cell, _ := Cell.Of(wb); cell != "eu-3" {
		t.Errorf("cell %q of the new journey, want %q", cell, "eu-3")
	}
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer %q, want %q", got, "+ACK")
	}
}

// A message older than MaxAge is judged at the current time.
func TestMaxAge(t *testing.T) {
	auth := waybilltest.Authority(t, claims, newClock(2*time.Hour).option())
	sender := waybilltest.Authority(t, claims)
	longLived := waybilltest.Authority(t, claims, waybill.Life(4*time.Hour))
	tolerant := waybilltest.Authority(t, claims, newClock(2*time.Hour).option(), waybill.MaxLife(4*time.Hour))
	for _, c := range []struct {
		name   string
		sender *waybill.Authority
		opener *waybill.Authority
		opts   []waybilljetstream.Option
		err    error
		cell   string
	}{
		{"none", sender, auth, nil, nil, "eu-3"},
		{"young enough", sender, auth, []waybilljetstream.Option{waybilljetstream.MaxAge(3 * time.Hour)}, nil, "eu-3"},
		{"too old", sender, auth, []waybilljetstream.Option{waybilljetstream.MaxAge(time.Hour)}, waybill.ErrExpired, ""},
		{"too old, though it lives", longLived, tolerant, []waybilljetstream.Option{waybilljetstream.MaxAge(time.Hour)},
			waybill.ErrExpired, ""},
		{"too old, reported", sender, auth,
			[]waybilljetstream.Option{waybilljetstream.MaxAge(time.Hour), waybilljetstream.ReportOnly()}, nil, ""},
		{"too old though it lives, reported", longLived, tolerant,
			[]waybilljetstream.Option{waybilljetstream.MaxAge(time.Hour), waybilljetstream.ReportOnly()}, nil, "eu-3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t)
			q.publish(t, c.sender, "", Cell.To("eu-3"))
			m, err := q.consumer(t).Next()
			check(t, err)
			provider, counted := count(t)
			opts := append([]waybilljetstream.Option{waybilljetstream.MeterProvider(provider)}, c.opts...)
			ctx, err := newStream(t, c.opener, q.js, opts...).Open(t.Context(), m)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if cell, _ := Cell.Get(ctx); cell != c.cell {
				t.Errorf("cell %q, want %q", cell, c.cell)
			}
			counted.want(t, "waybill.refuse", "expired", one(c.err != nil))
			counted.want(t, "waybill.observe", "expired", one(strings.HasSuffix(c.name, "reported")))
		})
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// Consume refuses consumers whose messages it cannot settle one by one.
func TestAckPolicies(t *testing.T) {
	nc := connect(t, start(t))
	js, err := jetstream.New(nc)
	check(t, err)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	check(t, err)
	auth := waybilltest.Authority(t, claims)
	stream := newStream(t, auth, js)
	_, err = stream.Publish(waybilltest.Context(t, auth, Cell.To("eu-3")), &nats.Msg{Subject: "orders.new"})
	check(t, err)
	with := func(p jetstream.AckPolicy) jetstream.Consumer {
		cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: p})
		check(t, err)
		return cons
	}
	ordered, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	check(t, err)
	for _, c := range []struct {
		name string
		cons jetstream.Consumer
	}{
		{"AckNone", with(jetstream.AckNonePolicy)},
		{"AckAll", with(jetstream.AckAllPolicy)},
		{"ordered", ordered},
	} {
		run, err := stream.Consume(t.Context(), c.cons, func(context.Context, jetstream.Msg) error {
			t.Errorf("%s: the handler runs", c.name)
			return nil
		})
		if err == nil {
			run.Stop()
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !strings.Contains(err.Error(), "AckExplicitPolicy") {
			t.Errorf("%s: error %q, want one that says what is needed", c.name, err)
		}
	}
	m, err := ordered.Next()
	check(t, err)
	ctx, err := stream.Open(t.Context(), m)
	check(t, err)
	if cell, _ := Cell.Get(ctx); cell != "eu-3" {
		t.Errorf("cell %q of an ordered consumer's message, want %q", cell, "eu-3")
	}
}

// When the context ends, consuming ends, and so do the contexts of the handlers.
func TestConsumeEnds(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{}, 1)
	run, err := newStream(t, auth, q.js, waybilljetstream.AllowLoss()).Consume(ctx, q.consumer(t), func(ctx context.Context, m jetstream.Msg) error {
		began <- struct{}{}
		<-ctx.Done()
		return nil
	})
	check(t, err)
	q.publish(t, auth, "")
	receive(t, began, "the handler")
	cancel()
	receive(t, run.Closed(), "the end of the consuming")
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer %q, want %q", got, "+ACK")
	}
	q.publish(t, auth, "")
	q.quiet(t)
	if n := len(began); n != 0 {
		t.Errorf("%d handlers began after the end, want none", n)
	}
}

// tapped is a consumer whose callback a test calls.
type tapped struct {
	jetstream.Consumer
	callback chan jetstream.MessageHandler
}

func (c tapped) Consume(h jetstream.MessageHandler,
	opts ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	c.callback <- h
	return c.Consumer.Consume(h, opts...)
}

// A message that nats.go delivers after the end is left to the server, because its handler could
// only fail.
func TestDeliveredAfterTheEnd(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	cons := tapped{q.consumer(t), make(chan jetstream.MessageHandler, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	run, err := newStream(t, auth, q.js, waybilljetstream.AllowLoss()).Consume(ctx, cons, func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs")
		return nil
	})
	check(t, err)
	cancel()
	receive(t, run.Closed(), "the end of the consuming")
	q.publish(t, auth, "")
	m, err := cons.Next()
	check(t, err)
	receive(t, cons.callback, "the callback")(m)
	q.quiet(t)
}

// recovering is a consumer whose callbacks may panic, as under a runtime that recovers.
type recovering struct {
	jetstream.Consumer
	got chan any
}

func (r recovering) Consume(h jetstream.MessageHandler,
	opts ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	return r.Consumer.Consume(func(m jetstream.Msg) {
		defer func() { r.got <- recover() }()
		h(m)
	}, opts...)
}

// A panic discards the changes, settles nothing and continues.
func TestConsumePanic(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	cons := recovering{q.consumer(t), make(chan any, 2)}
	var hctx context.Context
	q.consume(t, auth, cons, func(ctx context.Context, m jetstream.Msg) error {
		if string(m.Data()) == "boom" {
			hctx = ctx
			panic("boom")
		}
		return nil
	})
	q.publish(t, auth, "boom", Seats.To(1))
	if got := receive(t, cons.got, "the panic"); got != "boom" {
		t.Errorf("recovered %v, want %q", got, "boom")
	}
	if err := waybill.Update(hctx, Seats.To(2)); !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("Update after the panic: error %v, want %v", err, waybill.ErrCommitted)
	}
	q.quiet(t)
	q.publish(t, auth, "fine")
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer to the next message %q, want %q", got, "+ACK")
	}
}

// Fetch, Open and Settle together do what Consume does.
func TestFetch(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	q.publish(t, auth, "good", Cell.To("eu-3"))
	q.publish(t, past, "expired", Cell.To("eu-3"))
	q.publish(t, auth, "fails", Cell.To("eu-4"))
	q.publish(t, auth, "poison", Cell.To("eu-5"))
	stream := newStream(t, auth, q.js, waybilljetstream.DeadLetter("dead.orders"))
	batch, err := q.consumer(t).Fetch(4, jetstream.FetchMaxWait(patience))
	check(t, err)
	shared := waybilltest.Context(t, auth, Cell.To("of the loop"))
	handled := map[string]string{}
	for m := range batch.Messages() {
		ctx, err := stream.Open(shared, m)
		if err == nil {
			handled[string(m.Data())], _ = Cell.Get(ctx)
			if got := spellings(m.Headers()); got != nil {
				t.Errorf("the message still has headers %q", got)
			}
			switch string(m.Data()) {
			case "fails":
				err = errors.New("no seats")
			case "poison":
				err = waybilljetstream.ErrTerm
			}
		} else if wb, _ := waybill.FromContext(ctx); wb != nil {
			t.Errorf("the context of a refused message has %v, want none", wb)
		}
		check(t, stream.Settle(ctx, m, err))
		check(t, stream.Settle(ctx, m, nil)) // settled already: no error, and no answer
	}
	check(t, batch.Error())
	want := map[string]string{"good": "eu-3", "fails": "eu-4", "poison": "eu-5"}
	if !maps.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
	for _, want := range []string{"+ACK", "+TERM waybill: expired", `-NAK {"delay": 1000000000}`, "+TERM"} {
		if got := q.answered(t); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	q.quiet(t)
	if n := stored(t, q.dead); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}
