// Package natstest runs the NATS transports against a server in the same process.
package natstest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

// patience is how long a test waits for an event that must happen.
const patience = time.Minute

// start runs a server with JetStream until the test ends.
func start(t testing.TB, edits ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}
	for _, edit := range edits {
		edit(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not take connections")
	}
	return s
}

// connect opens a connection until the test ends.
func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serve subscribes a handler, and returns when the server has the subscription.
func serve(t testing.TB, nc *nats.Conn, subject string, h nats.MsgHandler) {
	t.Helper()
	if _, err := nc.Subscribe(subject, h); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
}

// listen subscribes without a handler, and returns when the server has the subscription.
func listen(t testing.TB, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return sub
}

func flush(t testing.TB, nc *nats.Conn) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("no message on %s: %v", sub.Subject, err)
	}
	return m
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// note reports an error. It is for goroutines other than the test's, which check must not end.
func note(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// check fails the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// timeout returns a context for calls that should be answered.
func timeout(t testing.TB, ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	return ctx
}

// token returns one that an Authority issues.
func token(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	check(t, err)
	return wb.Token()
}

// newConn returns the Conn of a node.
func newConn(t testing.TB, auth *waybill.Authority, nc *nats.Conn, opts ...waybillnats.Option) *waybillnats.Conn {
	t.Helper()
	conn, err := waybillnats.New(auth, nc, opts...)
	check(t, err)
	return conn
}

// newStream returns the JetStream of a node.
func newStream(t testing.TB, auth *waybill.Authority, js jetstream.Publisher,
	opts ...waybilljetstream.Option) *waybilljetstream.JetStream {
	t.Helper()
	stream, err := waybilljetstream.New(auth, js, opts...)
	check(t, err)
	return stream
}

// counts reads the counters of the meter.
type counts struct{ *metric.ManualReader }

func count(t testing.TB) (*metric.MeterProvider, counts) {
	c := counts{metric.NewManualReader()}
	p := metric.NewMeterProvider(metric.WithReader(c))
	t.Cleanup(func() { check(t, p.Shutdown(context.Background())) })
	return p, c
}

// want compares a counter's value for one outcome.
func (c counts) want(t testing.TB, name, outcome string, want int64) {
	t.Helper()
	if got := c.of(t, name, outcome); got != want {
		t.Errorf("%s{outcome=%s} is %d, want %d", name, outcome, got, want)
	}
}

// of returns a counter's value for one outcome.
func (c counts) of(t testing.TB, name, outcome string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	check(t, c.Collect(context.Background(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != name || !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				if v, _ := p.Attributes.Value("outcome"); v.AsString() == outcome {
					n += p.Value
				}
			}
		}
	}
	return n
}

// clock is one that a test moves.
type clock struct{ ahead atomic.Int64 }

func newClock(ahead time.Duration) *clock {
	c := new(clock)
	c.set(ahead)
	return c
}

// set sets the clock d ahead of the machine's.
func (c *clock) set(d time.Duration) { c.ahead.Store(int64(d)) }

func (c *clock) option() waybill.Option {
	return waybill.Clock(func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) })
}

// wait waits until a condition holds.
func wait(t testing.TB, holds func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited %v for %s", patience, what)
}
