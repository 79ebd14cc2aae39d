package natstest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// hasty is a consumer whose messages are delivered again soon.
func hasty(c *jetstream.ConsumerConfig) { c.AckWait = 500 * time.Millisecond }

// A handler may take longer than AckWait: the server is told that work is in progress. After the
// answer it is told nothing more.
func TestSlowHandlerRunsOnce(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	auth := waybilltest.Authority(t, claims)
	done := make(chan string, 4)
	q.consume(t, auth, q.consumer(t, hasty), func(ctx context.Context, m jetstream.Msg) error {
		select {
		case <-ctx.Done():
		case <-time.After(1500 * time.Millisecond):
		}
		return delivered(t, done)(ctx, m)
	}, waybilljetstream.Workers(2))
	q.publish(t, auth, "a", Cell.To("eu-3"))
	q.publish(t, auth, "b", Cell.To("eu-3"))
	for range 2 {
		receive(t, done, "a handler")
		if a := q.answered(t); a != "+ACK" {
			t.Errorf("answer %q, want %q", a, "+ACK")
		}
	}
	q.quiet(t)
	if n := len(done); n != 0 {
		t.Errorf("%d more handlers ran, want none", n)
	}
}

// Two replicas with slow handlers handle each message once, if neither fetches more than it
// handles. So it is with several workers each.
func TestReplicasHandleOnce(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			auth := waybilltest.Authority(t, claims)
			const messages = 12
			done := make(chan string, 2*messages)
			cons := q.consumer(t, hasty)
			var by [2]atomic.Int64
			for i := range by {
				stream := newStream(t, auth, q.js, waybilljetstream.DeadLetter("dead.orders"), waybilljetstream.Workers(workers))
				run, err := stream.Consume(context.Background(), cons, func(ctx context.Context, m jetstream.Msg) error {
					time.Sleep(700 * time.Millisecond) // the work
					by[i].Add(1)
					return delivered(t, done)(ctx, m)
				}, jetstream.PullMaxMessages(1))
				check(t, err)
				t.Cleanup(func() {
					run.Stop()
					<-run.Closed()
				})
			}
			for range messages {
				q.publish(t, auth, "m", Cell.To("eu-3"))
			}
			for range messages {
				receive(t, done, "a handler")
				if a := q.answered(t); a != "+ACK" {
					t.Errorf("answer %q, want %q", a, "+ACK")
				}
			}
			q.quiet(t)
			if n := len(done); n != 0 {
				t.Errorf("%d more handlers ran, want none", n)
			}
			if by[0].Load() == 0 || by[1].Load() == 0 {
				t.Errorf("the replicas handled %d and %d messages, want some each", by[0].Load(), by[1].Load())
			}
		})
	}
}

// Workers are how many handlers run at once: as many, and no more. Held messages count as well.
func TestWorkers(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	key, ring := generate(t), keyring.NewRing(nil)
	set := newSet(t, key)
	const workers = 3
	var running, most atomic.Int64
	began, goOn := make(chan string, 12), make(chan struct{})
	q.consume(t, newAuthority(t, ring), q.consumer(t), func(_ context.Context, m jetstream.Msg) error {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		began <- string(m.Data())
		<-goOn
		return nil
	}, waybilljetstream.Workers(workers))
	q.fill(t, key, "held", 6)
	if got := string(next(t, q.acks).Data); got != "+WPI" {
		t.Errorf("answer %q, want a sign of progress", got)
	}
	check(t, ring.Swap(set))
	q.fill(t, key, "free", 6)
	for range workers {
		receive(t, began, "a handler at the same time as others")
	}
	close(goOn)
	for range 12 {
		if a := q.answered(t); a != "+ACK" {
			t.Errorf("answer %q, want %q", a, "+ACK")
		}
	}
	if n := most.Load(); n != workers {
		t.Errorf("%d handlers ran at once, want %d", n, workers)
	}
}

// Closed waits for the handlers, also of messages that were held, after Stop, Drain and the end of
// the context.
func TestClosedWaitsForHandlers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		workers int
		end     func(jetstream.ConsumeContext, context.CancelFunc)
	}{
		{"Stop", 1, func(run jetstream.ConsumeContext, _ context.CancelFunc) { run.Stop() }},
		{"Stop, workers", 2, func(run jetstream.ConsumeContext, _ context.CancelFunc) { run.Stop() }},
		{"Drain", 1, func(run jetstream.ConsumeContext, _ context.CancelFunc) { run.Drain() }},
		{"context", 1, func(_ jetstream.ConsumeContext, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			key, ring := generate(t), keyring.NewRing(nil)
			set := newSet(t, key)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began, goOn := make(chan struct{}), make(chan struct{})
			stream := newStream(t, newAuthority(t, ring), q.js, waybilljetstream.DeadLetter("dead.orders"),
				waybilljetstream.Workers(c.workers))
			run, err := stream.Consume(ctx, q.consumer(t), func(context.Context, jetstream.Msg) error {
				close(began)
				<-goOn
				return nil
			})
			check(t, err)
			q.fill(t, key, "held", 1)
			if got := string(next(t, q.acks).Data); got != "+WPI" {
				t.Errorf("answer %q, want a sign of progress", got)
			}
			check(t, ring.Swap(set))
			receive(t, began, "the handler of the held message")
			c.end(run, cancel)
			select {
			case <-run.Closed():
				t.Error("closed while a handler runs")
			case <-time.After(200 * time.Millisecond):
			}
			close(goOn)
			receive(t, run.Closed(), "the end of the consuming")
			if a := q.answered(t); a != "+ACK" {
				t.Errorf("answer %q, want %q", a, "+ACK")
			}
		})
	}
}

// Drain handles the messages in the client's buffer, and Stop discards them.
func TestStopAndDrain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(jetstream.ConsumeContext)
		want int
	}{{"Stop", jetstream.ConsumeContext.Stop, 1}, {"Drain", jetstream.ConsumeContext.Drain, 5}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			auth := waybilltest.Authority(t, claims)
			for range 5 {
				q.publish(t, auth, "m", Cell.To("eu-3"))
			}
			cons := q.consumer(t)
			began, goOn := make(chan struct{}, 5), make(chan struct{})
			run, err := newStream(t, auth, q.js, waybilljetstream.AllowLoss()).Consume(t.Context(), cons,
				func(context.Context, jetstream.Msg) error {
					began <- struct{}{}
					<-goOn
					return nil
				})
			check(t, err)
			receive(t, began, "the first handler")
			become(t, "messages delivered", 5, func() int {
				info, err := cons.Info(t.Context())
				check(t, err)
				return info.NumAckPending
			})
			flush(t, q.nc) // they are in the buffer
			subs := q.nc.NumSubscriptions()
			c.end(run)
			if c.want == 1 { // nats.go ends its subscription in another goroutine
				become(t, "subscriptions", subs-1, q.nc.NumSubscriptions)
			}
			close(goOn)
			receive(t, run.Closed(), "the end of the consuming")
			if n := len(began) + 1; n != c.want {
				t.Errorf("%d messages handled, want %d", n, c.want)
			}
		})
	}
}

// An error of consuming is logged, or reaches the caller's handler instead. Consuming ends if it
// cannot go on.
func TestConsumingErrors(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		q := newQueue(t)
		auth := waybilltest.Authority(t, claims)
		var log logBuffer
		errs := make(chan error, 10)
		var opts []jetstream.PullConsumeOpt
		if own {
			opts = append(opts, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { errs <- err }))
		}
		stream := newStream(t, auth, q.js, waybilljetstream.DeadLetter("dead.orders"),
			waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		handled := make(chan struct{}, 1)
		run, err := stream.Consume(t.Context(), q.consumer(t), func(context.Context, jetstream.Msg) error {
			handled <- struct{}{}
			return nil
		}, opts...)
		check(t, err)
		q.publish(t, auth, "m")
		receive(t, handled, "the handler")
		check(t, q.orders.DeleteConsumer(t.Context(), "tickets"))
		receive(t, run.Closed(), "the end of the consuming")
		logged := strings.Contains(log.String(), "consuming failed") && strings.Contains(log.String(), "consumer deleted") &&
			strings.Contains(log.String(), "stream=ORDERS consumer=tickets")
		if logged == own {
			t.Errorf("with a handler of errors %v, logged %v:\n%s", own, logged, log.String())
		}
		if own {
			if err := receive(t, errs, "the error"); !errors.Is(err, jetstream.ErrConsumerDeleted) {
				t.Errorf("error %v, want %v", err, jetstream.ErrConsumerDeleted)
			}
		}
	}
}

// An option that nats.go refuses is an error of Consume.
func TestPullOptionErrors(t *testing.T) {
	q := newQueue(t)
	stream := newStream(t, waybilltest.Authority(t, claims), q.js, waybilljetstream.AllowLoss())
	handle := func(context.Context, jetstream.Msg) error { return nil }
	_, err := stream.Consume(t.Context(), q.consumer(t), handle, jetstream.PullMaxMessages(0))
	if !errors.Is(err, jetstream.ErrInvalidOption) {
		t.Errorf("error %v, want %v", err, jetstream.ErrInvalidOption)
	}
}

// A server without headers is named at the start; to publish a waybill to it is an error.
func TestStreamWithoutHeaders(t *testing.T) {
	s := start(t, func(o *server.Options) { o.NoHeaderSupport = true })
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	check(t, err)
	var log logBuffer
	auth := waybilltest.Authority(t, claims)
	stream := newStream(t, auth, js, waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if got := log.String(); !strings.Contains(got, "supports no headers") || !strings.Contains(got, s.Name()) {
		t.Errorf("log %q, want a warning that names the server", got)
	}
	_, err = stream.Publish(waybilltest.Context(t, auth), &nats.Msg{Subject: "orders.new"})
	if !errors.Is(err, nats.ErrHeadersNotSupported) {
		t.Errorf("error %v, want %v", err, nats.ErrHeadersNotSupported)
	}
}
