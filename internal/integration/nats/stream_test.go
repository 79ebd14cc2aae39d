package natstest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

// queue is a work queue ORDERS, and a stream DEAD for its dead letters.
type queue struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	orders jetstream.Stream
	dead   jetstream.Stream
	acks   *nats.Subscription // every answer to a delivery, as the server sees it
}

func newQueue(t testing.TB) *queue {
	t.Helper()
	nc := connect(t, start(t))
	js, err := jetstream.New(nc)
	check(t, err)
	q := &queue{nc: nc, js: js, acks: listen(t, nc, "$JS.ACK.>")}
	q.orders, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: jetstream.WorkQueuePolicy,
	})
	check(t, err)
	q.dead, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	check(t, err)
	return q
}

// consumer makes the consumer of the queue.
func (q *queue) consumer(t testing.TB, edits ...func(*jetstream.ConsumerConfig)) jetstream.Consumer {
	t.Helper()
	cfg := jetstream.ConsumerConfig{Durable: "tickets", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute}
	for _, edit := range edits {
		edit(&cfg)
	}
	cons, err := q.orders.CreateConsumer(t.Context(), cfg)
	check(t, err)
	return cons
}

type handler = func(context.Context, jetstream.Msg) error

// consume runs a handler until the test ends. Refused messages become dead letters, by default of
// DEAD.
func (q *queue) consume(t testing.TB, auth *waybill.Authority, cons jetstream.Consumer, h handler,
	opts ...waybilljetstream.Option) jetstream.ConsumeContext {
	t.Helper()
	opts = append([]waybilljetstream.Option{waybilljetstream.DeadLetter("dead.orders")}, opts...)
	run, err := newStream(t, auth, q.js, opts...).Consume(context.Background(), cons, h)
	check(t, err)
	t.Cleanup(func() {
		run.Stop()
		<-run.Closed()
	})
	return run
}

// publish stores a message with the waybill of a new journey.
func (q *queue) publish(t testing.TB, auth *waybill.Authority, data string, changes ...waybill.Change) {
	t.Helper()
	ctx, err := auth.Start(t.Context(), changes...)
	check(t, err)
	_, err = newStream(t, auth, q.js).Publish(ctx, &nats.Msg{Subject: "orders.new", Data: []byte(data)})
	check(t, err)
}

// answered waits for the next answer to a delivery, other than a sign of progress.
func (q *queue) answered(t testing.TB) string {
	t.Helper()
	for {
		if data := string(next(t, q.acks).Data); data != "+WPI" {
			return data
		}
	}
}

// quiet fails the test if there were more answers than were asked for.
func (q *queue) quiet(t testing.TB) {
	t.Helper()
	flush(t, q.nc)
	if n, _, err := q.acks.Pending(); n != 0 || err != nil {
		t.Errorf("%d more answers to deliveries (%v), want none", n, err)
	}
}

// stored returns how many messages a stream has.
func stored(t testing.TB, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context())
	check(t, err)
	return info.State.Msgs
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
