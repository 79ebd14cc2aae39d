package natstest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// Consume accepts a consumer whose refused messages would be deleted only if they become dead
// letters, or if the loss is accepted by name.
func TestConsumeLosesNothingByDefault(t *testing.T) {
	nc := connect(t, start(t))
	js, err := jetstream.New(nc)
	check(t, err)
	type opts = []waybilljetstream.Option
	for _, c := range []struct {
		name      string
		retention jetstream.RetentionPolicy
		lossy     string // part of the error without options; "": none
	}{
		{"limits", jetstream.LimitsPolicy, ""},
		{"queue", jetstream.WorkQueuePolicy, "WorkQueue retention"},
		{"interest", jetstream.InterestPolicy, "Interest retention"},
	} {
		s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: c.name, Subjects: []string{c.name}, Retention: c.retention, Storage: jetstream.MemoryStorage,
		})
		check(t, err)
		cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
		check(t, err)
		for _, o := range []struct {
			name string
			js   jetstream.Publisher
			opts opts
			want string
		}{
			{"no options", js, nil, c.lossy},
			{"dead letters", js, opts{waybilljetstream.DeadLetter("dead")}, ""},
			{"loss accepted", js, opts{waybilljetstream.AllowLoss()}, ""},
			{"report only", js, opts{waybilljetstream.ReportOnly()}, ""},
			{"a publisher only", struct{ jetstream.Publisher }{js}, nil, "is unknown"},
		} {
			stream := newStream(t, waybilltest.Authority(t, claims), o.js, o.opts...)
			for way, consume := range map[string]func(context.Context, jetstream.Consumer, handler,
				...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error){"Consume": stream.Consume, "Redrive": stream.Redrive} {
				run, err := consume(t.Context(), cons, func(context.Context, jetstream.Msg) error { return nil })
				if err == nil {
					run.Stop()
					<-run.Closed()
				}
				if o.want == "" && err == nil {
					continue
				}
				if o.want == "" || err == nil || !strings.Contains(err.Error(), o.want) ||
					!strings.Contains(err.Error(), "DeadLetter") || !strings.Contains(err.Error(), "AllowLoss") {
					t.Errorf("%s, %s, %s: error %v, want one with %q and the ways out", c.name, o.name, way, err, o.want)
				}
			}
		}
	}
}

// Settle does not delete a refused message either, unless that is accepted.
func TestSettleLosesNothingByDefault(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	for _, c := range []struct {
		opts   []waybilljetstream.Option
		answer string
		left   uint64
	}{
		{nil, `-NAK {"delay": 1000000000}`, 1},
		{[]waybilljetstream.Option{waybilljetstream.AllowLoss()}, "+TERM waybill: malformed", 0},
	} {
		_, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.new", Header: nats.Header{"Waybill": {"none"}}})
		check(t, err)
		cons := q.consumer(t)
		m, err := cons.Next()
		check(t, err)
		stream := newStream(t, auth, q.js, c.opts...)
		ctx, err := stream.Open(t.Context(), m)
		if err == nil {
			t.Fatal("a text that is no token was opened")
		}
		err = stream.Settle(ctx, m, err)
		if (err != nil) != (c.left > 0) || err != nil && !strings.Contains(err.Error(), "AllowLoss") {
			t.Errorf("error %v with %d options", err, len(c.opts))
		}
		if got := q.answered(t); got != c.answer {
			t.Errorf("answer %q, want %q", got, c.answer)
		}
		become(t, "messages in the work queue", c.left, func() uint64 { return stored(t, q.orders) })
		check(t, q.orders.Purge(t.Context()))
		check(t, q.orders.DeleteConsumer(t.Context(), "tickets"))
	}
}

// The first refusal of each reason is a warning that names the message and its key.
func TestFirstRefusalIsLogged(t *testing.T) {
	q := newQueue(t)
	var log logBuffer
	key, stranger := generate(t), generate(t)
	q.consume(t, newAuthority(t, ringOf(t, key)), q.consumer(t), func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs")
		return nil
	}, waybilljetstream.RequireClaims(Seats), waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	q.fill(t, stranger, "stranger", 2)
	q.fill(t, key, "lacks a claim", 2)
	const token = "not.a.token"
	_, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.new", Header: nats.Header{"Waybill": {token}}})
	check(t, err)
	for range 5 {
		q.answered(t)
	}
	got := log.String()
	for _, want := range []string{
		"stream=ORDERS consumer=tickets sequence=1 reason=unknown_key kid=" + stranger.ID() + "\n",
		"stream=ORDERS consumer=tickets sequence=3 reason=missing_claim kid=" + key.ID() + "\n",
		"stream=ORDERS consumer=tickets sequence=5 reason=malformed\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "level=WARN"); n != 3 || strings.Contains(got, token) {
		t.Errorf("%d warnings, want 3 without a token:\n%s", n, got)
	}
}

// Redrive refuses to send letters to the stream that it reads.
func TestRedriveInACircle(t *testing.T) {
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	cons, err := q.dead.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	check(t, err)
	for dead, circle := range map[string]bool{"dead.orders": true, "elsewhere": false} {
		stream := newStream(t, auth, q.js, waybilljetstream.DeadLetter(dead))
		run, err := stream.Redrive(t.Context(), cons, func(context.Context, jetstream.Msg) error { return nil })
		if err == nil {
			run.Stop()
			<-run.Closed()
		}
		if (err != nil) != circle || err != nil && !strings.Contains(err.Error(), "come back for ever") {
			t.Errorf("dead letters to %s: error %v, want one: %v", dead, err, circle)
		}
	}
}
