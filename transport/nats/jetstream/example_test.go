package waybilljetstream_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

var Cell = waybill.NewClaim[string]("cell")

// A handler of durable messages issues the waybill again before it sends it on.
func ExampleJetStream_Consume() {
	var (
		ctx  context.Context // ends with the process
		auth *waybill.Authority
		js   jetstream.JetStream
		conn *waybillnats.Conn
	)
	stream, err := waybilljetstream.New(auth, js,
		waybilljetstream.Required(),
		waybilljetstream.MaxAge(7*24*time.Hour),
		waybilljetstream.DeadLetter("dead.orders"))
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := js.Consumer(ctx, "ORDERS", "tickets")
	if err != nil {
		log.Fatal(err)
	}
	ticket := func(ctx context.Context, m jetstream.Msg) error {
		if _, ok := Cell.Get(ctx); !ok {
			return fmt.Errorf("%w: an order without a cell", waybilljetstream.ErrTerm)
		}
		fresh, err := waybill.Reissue(ctx)
		if err != nil {
			return err
		}
		return conn.Publish(fresh, &nats.Msg{Subject: "print", Data: m.Data()})
	}
	run, err := stream.Consume(ctx, consumer, ticket)
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// A message may wait for longer than its journey lasts. Its handler begins a new journey, with the
// claims that it wants to keep.
func ExampleJetStream_Consume_endedJourney() {
	var (
		ctx    context.Context
		auth   *waybill.Authority
		conn   *waybillnats.Conn
		stream *waybilljetstream.JetStream
		orders jetstream.Consumer
	)
	ticket := func(ctx context.Context, m jetstream.Msg) error {
		cell, _ := Cell.Get(ctx)
		fresh, err := waybill.Reissue(ctx)
		if errors.Is(err, waybill.ErrExpired) { // the journey has ended
			fresh, err = auth.Start(waybill.Without(ctx), Cell.To(cell))
		}
		if err != nil {
			return err
		}
		return conn.Publish(fresh, &nats.Msg{Subject: "print", Data: m.Data()})
	}
	run, err := stream.Consume(ctx, orders, ticket)
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// Slow handlers run in parallel, and each replica fetches a message only when it
// has a free worker.
func ExampleWorkers() {
	var (
		ctx    context.Context
		auth   *waybill.Authority
		js     jetstream.JetStream
		orders jetstream.Consumer
		print  func(context.Context, jetstream.Msg) error
	)
	stream, err := waybilljetstream.New(auth, js, waybilljetstream.Workers(4), waybilljetstream.DeadLetter("dead.orders"))
	if err != nil {
		log.Fatal(err)
	}
	run, err := stream.Consume(ctx, orders, print, jetstream.PullMaxMessages(1))
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// One message at a time.
func ExampleJetStream_Open() {
	var (
		ctx      context.Context
		stream   *waybilljetstream.JetStream
		consumer jetstream.Consumer
		handle   func(context.Context, jetstream.Msg) error
	)
	batch, err := consumer.Fetch(10)
	if err != nil {
		log.Fatal(err)
	}
	for m := range batch.Messages() {
		mctx, err := stream.Open(ctx, m)
		if err == nil {
			err = handle(mctx, m)
		}
		if err := stream.Settle(mctx, m, err); err != nil {
			log.Print(err)
		}
	}
}

// Dead letters are tried again, judged at the time their originals were stored.
func ExampleJetStream_Redrive() {
	var (
		ctx    context.Context
		js     jetstream.JetStream
		stream *waybilljetstream.JetStream
		ticket func(context.Context, jetstream.Msg) error
	)
	letters, err := js.CreateOrUpdateConsumer(ctx, "DEAD", jetstream.ConsumerConfig{
		Durable: "again", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5,
	})
	if err != nil {
		log.Fatal(err)
	}
	run, err := stream.Redrive(ctx, letters, ticket)
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// Reminders are scheduled up to an hour ahead. The server stores each when its time comes. By then
// its waybill, which was valid when the reminder was scheduled, may have expired.
func ExampleAcceptExpired() {
	var (
		ctx       context.Context
		auth      *waybill.Authority
		js        jetstream.JetStream
		reminders jetstream.Consumer
		remind    func(context.Context, jetstream.Msg) error
	)
	stream, err := waybilljetstream.New(auth, js, waybilljetstream.AcceptExpired(time.Hour, "REMINDERS"))
	if err != nil {
		log.Fatal(err)
	}
	run, err := stream.Consume(ctx, reminders, remind)
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}
