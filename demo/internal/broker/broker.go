// Package broker is the demo's NATS server with JetStream: its configuration, its streams, and the
// connections to it. With "go run ./demo" the server runs inside the demo's own process; in
// containers it is a stock NATS image.
package broker

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"text/template"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// The streams hold orders that were paid, and the tickets made from them. Neither is a session.
const (
	Orders  = "ORDERS"        // stream
	Placed  = "orders.placed" // subject
	Fulfil  = "fulfil"        // durable consumer of Orders
	Tickets = "TICKETS"       // stream
	ticket  = "tickets."      // subject, followed by the journey's id
)

// TicketsBy returns how many tickets there are by the subject of their journey.
func TicketsBy(ctx context.Context, js jetstream.JetStream, subject string) (map[string]uint64, error) {
	stream, err := js.Stream(ctx, Tickets)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// Ticket returns the subject of a journey's ticket. The id is base64url, which is one token of a
// subject.
func Ticket(sid string) string { return ticket + sid }

//go:embed nats.conf
var configuration string

// Users are all that may connect to the broker.
var Users = []string{"operator", "lb", "sticky", "gateway", "cart", "pricing", "payment", "fulfil"}

// Config returns the server's configuration, in which each user has the rights that it needs.
// Public holds the public key of each user.
func Config(public map[string]string) ([]byte, error) {
	t, err := template.New("nats.conf").Option("missingkey=error").Parse(configuration)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, public); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b.Bytes(), nil
}

// Start starts a server in this process with the configuration file that the container would use.
// It listens on a free port of the loopback interface and stores its files in dir.
func Start(config, dir string) (*server.Server, error) {
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	o.Host, o.Port, o.HTTPPort, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, 0, dir
	o.NoSigs, o.NoLog = true, true
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		srv.Shutdown()
		return nil, errors.New("broker: not ready after 10 s")
	}
	return srv, nil
}

// Declare makes the streams and the consumer, or gives those of an older version the settings of
// this one.
func Declare(ctx context.Context, js jetstream.JetStream) error {
	orders, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Orders, Subjects: []string{Placed}, MaxAge: time.Hour, AllowDirect: true,
		Duplicates: 10 * time.Minute, // longer than a waybill lives, so replaying one places no second order
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	_, err = orders.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: Fulfil, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: time.Second, // how long an order waits for a worker that was killed
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Tickets, Subjects: []string{ticket + "*"}, MaxAge: time.Hour, AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}
