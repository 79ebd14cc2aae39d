package waybilljetstream_test

import (
	"context"
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

// A handler of durable messages, which gives the waybill a new life before it calls on.
func ExampleConsume() {
	var (
		ctx  context.Context // ends with the process
		auth *waybill.Authority
		nc   *nats.Conn
		js   jetstream.JetStream
	)
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
		return waybillnats.Publish(fresh, nc, &nats.Msg{Subject: "print", Data: m.Data()})
	}
	run, err := waybilljetstream.Consume(ctx, auth, consumer, ticket,
		waybilljetstream.Required(),
		waybilljetstream.MaxAge(7*24*time.Hour),
		waybilljetstream.DeadLetter(js, "dead.orders"))
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// One message at a time.
func ExampleOpen() {
	var (
		ctx      context.Context
		auth     *waybill.Authority
		js       jetstream.JetStream
		consumer jetstream.Consumer
		handle   func(context.Context, jetstream.Msg) error
	)
	batch, err := consumer.Fetch(10)
	if err != nil {
		log.Fatal(err)
	}
	for m := range batch.Messages() {
		mctx, err := waybilljetstream.Open(ctx, auth, m)
		if err == nil {
			err = handle(mctx, m)
		}
		if err := waybilljetstream.Settle(mctx, m, err, waybilljetstream.DeadLetter(js, "dead.orders")); err != nil {
			log.Print(err)
		}
	}
}

// Dead letters are tried again: a consumer of their stream has them judged by the time at which the original was stored, not
// by today's.
func ExampleRedrive() {
	var (
		ctx    context.Context
		auth   *waybill.Authority
		js     jetstream.JetStream
		ticket func(context.Context, jetstream.Msg) error
	)
	letters, err := js.CreateOrUpdateConsumer(ctx, "DEAD", jetstream.ConsumerConfig{Durable: "again", MaxDeliver: 5})
	if err != nil {
		log.Fatal(err)
	}
	run, err := waybilljetstream.Consume(ctx, auth, letters, ticket, waybilljetstream.Required(), waybilljetstream.Redrive("DEAD"))
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}

// Reminders are scheduled up to an hour ahead. The server stores each when its time comes, and by then the waybill, which was
// good when it was scheduled, may have expired.
func ExampleGrace() {
	var (
		ctx       context.Context
		auth      *waybill.Authority
		reminders jetstream.Consumer
		remind    func(context.Context, jetstream.Msg) error
	)
	run, err := waybilljetstream.Consume(ctx, auth, reminders, remind, waybilljetstream.Grace(time.Hour, "REMINDERS"))
	if err != nil {
		log.Fatal(err)
	}
	<-run.Closed()
}
