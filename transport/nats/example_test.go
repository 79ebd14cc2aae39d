package waybillnats_test

import (
	"context"
	"log"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// A queue group answers requests, and changes a claim.
func ExampleConn_Handler() {
	ring, err := keyring.LoadFile(context.Background(), "/etc/waybill/ring.jwks")
	if err != nil {
		log.Fatal(err)
	}
	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
	if err != nil {
		log.Fatal(err)
	}
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := waybillnats.New(auth, nc, waybillnats.Required())
	if err != nil {
		log.Fatal(err)
	}
	quote := func(ctx context.Context, m *waybillnats.Msg) {
		cell, _ := Cell.Get(ctx)
		if err := waybill.Update(ctx, Seats.To(2)); err != nil {
			log.Print(err)
		}
		if err := m.Respond([]byte("a price in " + cell)); err != nil {
			log.Print(err)
		}
	}
	if _, err := nc.QueueSubscribe("quotes", "pricing", conn.Handler(quote)); err != nil {
		log.Fatal(err)
	}
}

// A request returns the changes of its handler.
func ExampleConn_Request() {
	var (
		ctx  context.Context // of a request that is being handled
		conn *waybillnats.Conn
	)
	reply, err := conn.Request(ctx, &nats.Msg{Subject: "quotes"})
	if err != nil {
		log.Fatal(err)
	}
	seats, _ := Seats.Get(ctx)
	log.Printf("%s for %d", reply.Data, seats)
}

// An endpoint of a micro service.
func ExampleConn_MicroHandler() {
	var (
		nc   *nats.Conn
		conn *waybillnats.Conn // made with nc
	)
	service, err := micro.AddService(nc, micro.Config{Name: "pricing", Version: "1.0.0"})
	if err != nil {
		log.Fatal(err)
	}
	err = service.AddEndpoint("quotes", conn.MicroHandler(func(ctx context.Context, r micro.Request) {
		if cell, ok := Cell.Get(ctx); !ok || cell == "" {
			_ = r.Error("400", "which cell?", nil)
			return
		}
		_ = r.RespondJSON(map[string]int{"price": 12})
	}))
	if err != nil {
		log.Fatal(err)
	}
}

// Several services answer one request, each with its own changes.
func ExampleConn_RequestMany() {
	var (
		ctx  context.Context // of a request that is being handled
		conn *waybillnats.Conn
	)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ask := &nats.Msg{Subject: "quotes.all"}
	for reply, err := range conn.RequestMany(ctx, ask, waybillnats.Replies{Stall: 200 * time.Millisecond}) {
		if err != nil {
			log.Fatal(err)
		}
		log.Printf("%s", reply.Data)
	}
	seats, _ := Seats.Get(ctx) // merged from all replies
	log.Print(seats)
}
