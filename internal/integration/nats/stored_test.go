package natstest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// fuse is the remaining life of a token when it is published. It is long enough for the server to
// fire a schedule.
const fuse = 8 * time.Second

// fetched returns the first message of a stream under a subject, from a new consumer.
func fetched(t testing.TB, s jetstream.Stream, subject string, seq uint64) jetstream.Msg {
	t.Helper()
	cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: subject,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(seq, 1),
	})
	check(t, err)
	m, err := cons.Next(jetstream.FetchMaxWait(patience))
	check(t, err)
	return m
}

// wantOpen opens a message and compares the error. If it is nil, the message must have the claim.
func wantOpen(t *testing.T, stream *waybilljetstream.JetStream, m jetstream.Msg, want error) {
	t.Helper()
	ctx, err := stream.Open(t.Context(), m)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if cell, _ := Cell.Get(ctx); err == nil && cell != "eu-3" {
		t.Errorf("cell %q, want %q", cell, "eu-3")
	}
}

// A mirror keeps the time at which the first stream stored a message. A source and a schedule do
// not, and AcceptExpired allows for that on the streams that it names.
func TestStoredTime(t *testing.T) {
	t.Parallel()
	nc := connect(t, start(t))
	js, err := jetstream.New(nc)
	check(t, err)
	create := func(cfg jetstream.StreamConfig) jetstream.Stream {
		s, err := js.CreateStream(t.Context(), cfg)
		check(t, err)
		return s
	}
	create(jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"origin"}})
	planned := create(jetstream.StreamConfig{Name: "PLANNED", Subjects: []string{"plan.*", "fired.*"}, AllowMsgSchedules: true})

	// The opening Authority has no leeway: there is only one clock.
	auth := waybilltest.Authority(t, claims, waybill.Leeway(0))
	sender := waybilltest.Authority(t, claims, newClock(fuse-waybill.DefaultLife).option())
	ctx := waybilltest.Context(t, sender, Cell.To("eu-3"))
	wb, err := waybill.FromContext(ctx)
	check(t, err)
	dead := wb.Expires().Add(2 * time.Second)
	sending := newStream(t, sender, js)
	publish := func(subject string, opts ...jetstream.PublishOpt) {
		_, err := sending.Publish(ctx, &nats.Msg{Subject: subject}, opts...)
		check(t, err)
	}
	publish("origin")
	publish("plan.soon", jetstream.WithScheduleAt(time.Now().Add(time.Second)), jetstream.WithScheduleTarget("fired.soon"))
	publish("plan.late", jetstream.WithScheduleAt(dead), jetstream.WithScheduleTarget("fired.late"))
	publish("plan.often", jetstream.WithScheduleEvery(time.Second), jetstream.WithScheduleTarget("fired.often"))
	time.Sleep(time.Until(dead.Add(time.Second)))
	mirror := create(jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "ORIGIN"}})
	agg := create(jetstream.StreamConfig{
		Name: "AGG", Subjects: []string{"direct"}, Sources: []*jetstream.StreamSource{{Name: "ORIGIN"}},
	})
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "direct", Header: nats.Header{"Waybill": {wb.Token()}}})
	check(t, err)
	info, err := planned.Info(t.Context())
	check(t, err)

	for _, c := range []struct {
		name    string
		stream  jetstream.Stream
		subject string
		seq     uint64
		err     error // without AcceptExpired
		graced  error // with it
	}{
		{"mirror", mirror, "origin", 0, nil, nil},
		{"source", agg, "origin", 0, waybill.ErrExpired, nil},
		{"next-to-a-source", agg, "direct", 0, waybill.ErrExpired, waybill.ErrExpired},
		{"schedule-at-in-time", planned, "fired.soon", 0, nil, nil},
		{"schedule-at-too-late", planned, "fired.late", 0, waybill.ErrExpired, nil},
		{"schedule-every-first", planned, "fired.often", 0, nil, nil},
		{"schedule-every-later", planned, "fired.often", info.State.LastSeq + 1, waybill.ErrExpired, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := c.stream.CachedInfo().Config.Name
			wantOpen(t, newStream(t, auth, js), fetched(t, c.stream, c.subject, c.seq), c.err)
			open := func(want error, d time.Duration, streams ...string) {
				t.Helper()
				graced := newStream(t, auth, js, waybilljetstream.AcceptExpired(d, streams...))
				wantOpen(t, graced, fetched(t, c.stream, c.subject, c.seq), want)
			}
			open(c.graced, 24*365*time.Hour, "OTHER", name)
			open(c.graced, time.Minute, name)
			open(c.err, time.Second, name)
			open(c.err, time.Hour, "OTHER")
		})
	}
	t.Run("a graced one reissued", func(t *testing.T) {
		stream := newStream(t, auth, js, waybilljetstream.AcceptExpired(time.Hour, "AGG"))
		ctx, err := stream.Open(t.Context(), fetched(t, agg, "origin", 0))
		check(t, err)
		fresh, err := waybill.Reissue(ctx)
		check(t, err)
		_, err = auth.Send(fresh)
		check(t, err)
	})
	t.Run("headers of a source are the server's", func(t *testing.T) {
		for _, name := range []string{"Nats-Stream-Source", "Nats-Scheduler"} {
			_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "direct", Header: nats.Header{name: {"ORIGIN 1"}}})
			if err == nil {
				t.Errorf("a client published with the header %s", name)
			}
		}
	})
}

// Redrive judges a dead letter at the original's time, if the letter reports one; Consume does not.
func TestRedriveTime(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	hour := at(-time.Hour)
	type opts = []waybilljetstream.Option
	type consumeMethod = func(*waybilljetstream.JetStream, context.Context, jetstream.Consumer, handler,
		...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error)
	redrive, consume := (*waybilljetstream.JetStream).Redrive, (*waybilljetstream.JetStream).Consume
	const acked, expired = "+ACK", "+TERM waybill: expired"
	for _, c := range []struct {
		name    string
		header  nats.Header
		consume consumeMethod
		opts    opts
		answer  string
	}{
		{"redriven", nats.Header{"Waybill-Stored": {hour}}, redrive, nil, acked},
		{"in another case", nats.Header{"waybill-stored": {hour}}, redrive, nil, acked},
		{"consumed", nats.Header{"Waybill-Stored": {hour}}, consume, nil, expired},
		{"no time", nil, redrive, nil, expired},
		{"two times", nats.Header{"Waybill-Stored": {hour, hour}}, redrive, nil, expired},
		{"two spellings", nats.Header{"Waybill-Stored": {hour}, "waybill-stored": {hour}}, redrive, nil, expired},
		{"not a time", nats.Header{"Waybill-Stored": {"yesterday"}}, redrive, nil, expired},
		{"after its own", nats.Header{"Waybill-Stored": {at(time.Hour)}}, redrive, nil, expired},
		{"before the token", nats.Header{"Waybill-Stored": {at(-2 * time.Hour)}}, redrive, nil,
			"+TERM waybill: not_yet_valid"},
		{"beyond MaxAge", nats.Header{"Waybill-Stored": {hour}}, redrive, opts{waybilljetstream.MaxAge(time.Minute)}, expired},
		{"of a source, graced",
			nats.Header{"Waybill-Stored": {at(-time.Minute)}, "Waybill-Original-Nats-Stream-Source": {"A 1"}},
			redrive, opts{waybilljetstream.AcceptExpired(2*time.Hour, "DEAD")}, acked},
		{"of no source, graced", nats.Header{"Waybill-Stored": {at(-time.Minute)}}, redrive,
			opts{waybilljetstream.AcceptExpired(2*time.Hour, "DEAD")}, expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := nats.Header{"Waybill": {token(t, past, Cell.To("eu-3"))}}
			maps.Copy(h, c.header)
			ack, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "dead.orders", Header: h})
			check(t, err)
			cons, err := q.dead.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
				AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
				OptStartSeq: ack.Sequence,
			})
			check(t, err)
			run, err := c.consume(newStream(t, auth, q.js, c.opts...), t.Context(), cons,
				func(ctx context.Context, _ jetstream.Msg) error {
					if cell, _ := Cell.Get(ctx); cell != "eu-3" {
						t.Errorf("cell %q, want %q", cell, "eu-3")
					}
					return nil
				})
			check(t, err)
			if got := q.answered(t); got != c.answer {
				t.Errorf("answer %q, want %q", got, c.answer)
			}
			run.Stop()
			<-run.Closed()
		})
	}
}

// A message whose key came too late becomes a dead letter, and Redrive handles it. A dead letter
// that is refused again keeps the headers about its original.
func TestRedrive(t *testing.T) {
	q := newQueue(t)
	late, never, other := generate(t), generate(t), generate(t)
	auth := newAuthority(t, ringOf(t, other))
	q.consume(t, auth, q.consumer(t), func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs")
		return nil
	}, waybilljetstream.DeadLetter("dead.orders"))
	for _, c := range []struct {
		data string
		auth *waybill.Authority
	}{{"late", newAuthority(t, ringOf(t, late))}, {"never", newAuthority(t, ringOf(t, never))}} {
		ctx := waybilltest.Context(t, c.auth, Cell.To("eu-3"))
		_, err := newStream(t, c.auth, q.js).Publish(ctx, &nats.Msg{Subject: "orders.new", Data: []byte(c.data),
			Header: nats.Header{"Nats-Msg-Id": {c.data}, "X-App": {"kept"}}})
		check(t, err)
		if got, want := q.answered(t), "+TERM waybill: unknown_key"; got != want {
			t.Fatalf("answer %q, want %q", got, want)
		}
	}
	first, err := q.dead.GetMsg(t.Context(), 2)
	check(t, err)

	again, err := q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD-AGAIN", Subjects: []string{"again"}})
	check(t, err)
	letters, err := q.dead.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	check(t, err)
	got := make(chan string, 1)
	stream := newStream(t, newAuthority(t, ringOf(t, other, late)), q.js, waybilljetstream.DeadLetter("again"))
	run, err := stream.Redrive(t.Context(), letters, delivered(t, got))
	check(t, err)
	defer func() {
		run.Stop()
		<-run.Closed()
	}()
	if m := receive(t, got, "the redriven message"); m != "late eu-3" {
		t.Errorf("handled %q, want %q", m, "late eu-3")
	}
	for _, want := range []string{"+ACK", "+TERM waybill: unknown_key"} {
		if got := q.answered(t); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	second, err := again.GetMsg(t.Context(), 1)
	check(t, err)
	for name := range first.Header {
		if name != "Nats-Msg-Id" {
			wantHeader(t, second.Header, name, first.Header.Get(name))
		}
	}
	if len(second.Header) != len(first.Header) {
		t.Errorf("headers of the second letter %v, want the headers of the first, %v", second.Header, first.Header)
	}
	wantHeader(t, second.Header, "Waybill-Original-Nats-Msg-Id", "never")
	wantHeader(t, second.Header, waybilljetstream.HeaderStream, "ORDERS")
}
