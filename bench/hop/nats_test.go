//go:build unix

package hop

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

func setupNATS(e *env) func(context.Context) error {
	nc := broker(e)
	ours := must(waybillnats.New(e.auth, nc))
	h := func(m *nats.Msg) { m.Respond([]byte("body")) }
	if e.load != bare {
		h = ours.Handler(func(ctx context.Context, m *waybillnats.Msg) {
			if err := e.work(ctx); err != nil {
				e.Errorf("server: %v", err)
			}
			m.Respond([]byte("body"))
		})
	}
	if _, err := nc.Subscribe("hop", h); err != nil {
		e.Fatal(err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		var err error
		if e.load == bare {
			_, err = nc.RequestMsgWithContext(ctx, nats.NewMsg("hop"))
		} else {
			_, err = ours.Request(ctx, nats.NewMsg("hop"))
		}
		return err
	}
}

// A JetStream call ends when the consumer has acknowledged the message.
func setupJetStream(e *env) func(context.Context) error {
	js, err := jetstream.New(broker(e))
	if err != nil {
		e.Fatal(err)
	}
	stream, err := js.CreateStream(e.Context(), jetstream.StreamConfig{
		Name: "HOP", Subjects: []string{"hop"}, Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		e.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(e.Context(), jetstream.ConsumerConfig{Durable: "hop", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		e.Fatal(err)
	}
	handled := make(chan error, 1)
	ours := must(waybilljetstream.New(e.auth, js, waybilljetstream.AllowLoss()))
	run := consume(e, ours, consumer, handled)
	e.Cleanup(func() {
		run.Stop()
		<-run.Closed()
	})
	return func(ctx context.Context) error {
		var err error
		if e.load == bare {
			_, err = js.PublishMsg(ctx, nats.NewMsg("hop"))
		} else {
			_, err = ours.Publish(ctx, nats.NewMsg("hop"))
		}
		if err != nil {
			return err
		}
		return <-handled
	}
}

func consume(e *env, ours *waybilljetstream.JetStream, consumer jetstream.Consumer, handled chan<- error) jetstream.ConsumeContext {
	var run jetstream.ConsumeContext
	var err error
	if e.load == bare {
		run, err = consumer.Consume(func(m jetstream.Msg) { handled <- m.Ack() })
	} else {
		run, err = ours.Consume(e.Context(), consumer, func(ctx context.Context, m jetstream.Msg) error {
			err := e.work(ctx)
			handled <- err
			return err
		})
	}
	if err != nil {
		e.Fatal(err)
	}
	return run
}

// broker starts a server and returns a connection to it.
func broker(tb testing.TB) *nats.Conn {
	tb.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: tb.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(time.Minute) {
		tb.Fatal("the server does not take connections")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}
