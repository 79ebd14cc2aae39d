package natstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

// way is one way to consume.
type way struct {
	name     string
	acks     bool // the consumer acknowledges
	consumer func(t testing.TB, s jetstream.Stream) jetstream.Consumer
	run      func(c consuming)
}

// consuming is what a way runs, until the context ends.
type consuming struct {
	testing.TB
	ctx    context.Context
	stream *waybilljetstream.JetStream
	cons   jetstream.Consumer
	handle handler
}

var ways = []way{
	{"Consume", true, explicit, consuming.consume},
	{"Messages", true, explicit, consuming.messages},
	{"Fetch", true, explicit, consuming.fetch},
	{"Next", true, explicit, consuming.next},
	{"AckNone", false, ackNone, consuming.next},
	{"ordered", false, ordered, consuming.next},
}

// openWait is much longer than the second between Open's signs of progress, and short enough to
// wait for.
const openWait = 8 * time.Second

// explicit returns a consumer that parks a message for ever if it is delivered twice and not
// acknowledged.
func explicit(t testing.TB, s jetstream.Stream) jetstream.Consumer {
	cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: openWait, MaxDeliver: 2, InactiveThreshold: time.Hour,
	})
	check(t, err)
	return cons
}

func ackNone(t testing.TB, s jetstream.Stream) jetstream.Consumer {
	cons, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Hour,
	})
	check(t, err)
	return cons
}

func ordered(t testing.TB, s jetstream.Stream) jetstream.Consumer {
	cons, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{InactiveThreshold: time.Hour})
	check(t, err)
	return cons
}

func (c consuming) consume() {
	run, err := c.stream.Consume(c.ctx, c.cons, c.handle)
	note(c, err)
	<-run.Closed()
}

func (c consuming) messages() {
	// A second message would exceed its AckWait while one is held.
	it, err := c.cons.Messages(jetstream.PullMaxMessages(1))
	note(c, err)
	stop := context.AfterFunc(c.ctx, it.Stop)
	defer stop()
	for {
		m, err := it.Next()
		if c.ctx.Err() != nil {
			return
		}
		note(c, err)
		c.one(m)
	}
}

func (c consuming) fetch() {
	for c.ctx.Err() == nil {
		batch, err := c.cons.Fetch(1, jetstream.FetchMaxWait(time.Second))
		note(c, err)
		for m := range batch.Messages() {
			c.one(m)
		}
	}
}

func (c consuming) next() {
	for c.ctx.Err() == nil {
		m, err := c.cons.Next(jetstream.FetchMaxWait(time.Second))
		if err == nil {
			c.one(m)
		} else if !errors.Is(err, nats.ErrTimeout) && c.ctx.Err() == nil {
			note(c, err)
		}
	}
}

// one is the loop body from the package's documentation.
func (c consuming) one(m jetstream.Msg) {
	ctx, err := c.stream.Open(c.ctx, m)
	if err == nil {
		err = c.handle(ctx, m)
	}
	if err := c.stream.Settle(ctx, m, err); c.ctx.Err() == nil { // else it was cut short by the end
		note(c, err)
	}
}

// lane is a stream with its own dead letters, on a server shared with other lanes.
type lane struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	name   string
	stream jetstream.Stream
	dead   jetstream.Stream
	acks   *nats.Subscription
	parked *nats.Subscription
	stop   context.CancelFunc // of run, which the end of the test waits for
}

func newLane(t testing.TB, nc *nats.Conn, name string) *lane {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	check(t, err)
	l := &lane{nc: nc, js: js, name: name, acks: listen(t, nc, "$JS.ACK."+name+".>"),
		parked: listen(t, nc, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+name+".>")}
	l.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: name, Subjects: []string{name}, Storage: jetstream.MemoryStorage,
	})
	check(t, err)
	l.dead, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "dead-" + name, Subjects: []string{"dead." + name}, Storage: jetstream.MemoryStorage,
	})
	check(t, err)
	return l
}

func (l *lane) publish(t testing.TB, data string, h nats.Header) {
	t.Helper()
	_, err := l.js.PublishMsg(t.Context(), &nats.Msg{Subject: l.name, Header: h, Data: []byte(data)})
	check(t, err)
}

// answered waits for the next answer to a delivery from this stream, other than a sign of progress.
func (l *lane) answered(t testing.TB) string {
	t.Helper()
	for {
		if data := string(next(t, l.acks).Data); data != "+WPI" {
			return data
		}
	}
}

// run consumes until the test ends, and reports each handled message: the data, the claim Cell, and
// the number of the delivery.
func (l *lane) run(t testing.TB, w way, auth *waybill.Authority, opts ...waybilljetstream.Option) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	handled, done := make(chan string, 16), make(chan struct{})
	opts = append(opts, waybilljetstream.DeadLetter("dead."+l.name))
	c := consuming{TB: t, ctx: ctx, stream: newStream(t, auth, l.js, opts...), cons: w.consumer(t, l.stream)}
	c.handle = func(ctx context.Context, m jetstream.Msg) error {
		meta, err := m.Metadata()
		note(t, err)
		cell, _ := Cell.Get(ctx)
		handled <- fmt.Sprintf("%s %s %d", m.Data(), cell, meta.NumDelivered)
		return nil
	}
	go func() {
		defer close(done)
		w.run(c)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return handled
}
