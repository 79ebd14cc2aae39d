// Package broker is the demo's NATS server with JetStream, inside the process that uses the package.
package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What stands in JetStream: orders that were paid, and the tickets made of them. Neither is a session.
const (
	Orders  = "ORDERS"        // stream
	Placed  = "orders.placed" // subject
	Fulfil  = "fulfil"        // durable consumer of Orders
	Tickets = "TICKETS"       // stream
	ticket  = "tickets."      // subject, followed by the journey's id
)

// Ticket returns the subject of a journey's ticket. The id is base64url, which is one token of a subject.
func Ticket(sid string) string { return ticket + sid }

// Broker is a running server.
type Broker struct {
	srv      *server.Server
	password string
}

// Start starts a server on a free port of the loopback interface, with its files in dir and a password of its own:
// other users of the machine can reach the port.
func Start(dir string) (*Broker, error) {
	b := &Broker{password: rand.Text()}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: b.password,
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 256 << 20,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b.srv = srv
	go srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		b.Close()
		return nil, errors.New("broker: not ready after 10 s")
	}
	return b, nil
}

// URL returns where the server listens.
func (b *Broker) URL() string { return b.srv.ClientURL() }

// Password returns what a client must know.
func (b *Broker) Password() string { return b.password }

// Close stops the server.
func (b *Broker) Close() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// Connect connects to a server that may be in another process.
func Connect(url, password, name string) (*nats.Conn, error) {
	return nats.Connect(url, nats.Token(password), nats.Name(name), nats.MaxReconnects(-1))
}

// Declare makes the streams and the consumer.
func Declare(ctx context.Context, js jetstream.JetStream) error {
	orders, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: Orders, Subjects: []string{Placed}, MaxAge: time.Hour, AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	_, err = orders.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: Fulfil, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: time.Second, // how long an order waits for a worker that was killed
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: Tickets, Subjects: []string{ticket + "*"}, MaxAge: time.Hour, AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}
