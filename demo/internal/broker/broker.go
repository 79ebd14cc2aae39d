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
	gate     *gate
	password string
}

// Start starts a server behind a gate on a free port of the loopback interface, with its files in dir and a password of
// its own: other users of the machine can reach the port.
func Start(dir string) (*Broker, error) {
	b := &Broker{password: rand.Text()}
	srv, err := server.NewServer(&server.Options{
		DontListen: true, Authorization: b.password, // the gate listens
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
	if b.gate, err = newGate(srv.InProcessConn); err != nil {
		b.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// URL returns where other processes reach the server.
func (b *Broker) URL() string { return "nats://" + b.gate.lis.Addr().String() }

// Pause holds every byte between the server and other processes for a while, as if the server hung. Whoever connected
// with [Broker.Connect] does not notice.
func (b *Broker) Pause(d time.Duration) { b.gate.pause(d) }

// Paused reports whether it does now.
func (b *Broker) Paused() bool { return b.gate.paused() }

// Connect connects from within the server's own process.
func (b *Broker) Connect(name string) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(b.srv), nats.Token(b.password), nats.Name(name))
}

// Password returns what a client must know.
func (b *Broker) Password() string { return b.password }

// Close stops the server.
func (b *Broker) Close() {
	if b.gate != nil {
		b.gate.close()
	}
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// Connect connects to a server that may be in another process.
func Connect(url, password, name string) (*nats.Conn, error) {
	return nats.Connect(url, nats.Token(password), nats.Name(name), nats.MaxReconnects(-1),
		nats.Timeout(10*time.Second)) // the default of 2 s is short for a busy machine
}

// Declare makes the streams and the consumer, or gives those of an older version the settings of this one.
func Declare(ctx context.Context, js jetstream.JetStream) error {
	orders, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Orders, Subjects: []string{Placed}, MaxAge: time.Hour, AllowDirect: true,
		Duplicates: 10 * time.Minute, // longer than a waybill lives: who replays one places no second order
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
