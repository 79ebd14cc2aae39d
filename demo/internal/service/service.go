// Package service is what every process of the demo's fleet begins with: the broker, the keys, the Authority, the
// tracer.
package service

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/keyring"
)

// Env is what a service has. Its context is done when the service shall finish what it has in hand, and end.
type Env struct {
	fleet.Spec
	Auth  *waybill.Authority
	NATS  *nats.Conn
	Watch *watch.Reporter

	ring  *keyring.Ring
	ready func(*Env, string)
}

// Main makes this process the replica that its starter wants, and runs it until it fails or the starter is gone.
func Main(run func(context.Context, *Env) error) error {
	spec, ctx, err := fleet.Child()
	if err != nil {
		return err
	}
	nc, err := broker.Connect(spec.Broker, spec.Password, spec.Name)
	if err != nil {
		return err
	}
	return Run(ctx, spec, nc, run, func(_ *Env, addr string) { fleet.Ready(addr) })
}

// Run runs the replica that spec describes until it fails, or until ctx is done and what it had in hand as well. It calls
// ready, with where the replica listens, when it serves.
func Run(ctx context.Context, spec fleet.Spec, nc *nats.Conn, run func(context.Context, *Env) error,
	ready func(e *Env, addr string)) error {
	// A key swap is worth a line to an operator, but fifteen services would say it at once.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	debug.SetGCPercent(25) // so many small processes on one machine: memory is dearer than a little time
	flush, err := tracing.Setup(spec.Name, spec.Traces)
	if err != nil {
		return err
	}
	defer flush()
	e := &Env{Spec: spec, NATS: nc, ready: ready}
	if spec.Keys != nil { // the balancer has none: it does not know what a waybill is
		if e.ring, err = spec.Keys.Open(ctx, nc, trip.Domain); err != nil {
			return err
		}
		e.Auth, err = waybill.New(trip.Domain, e.ring, waybill.Claims(trip.Claims...), waybill.Life(keys.Life))
		if err != nil {
			return err
		}
	}
	e.Watch = watch.NewReporter(nc, spec.Name, e.Auth)
	return run(ctx, e)
}

// Healthy returns why the replica cannot do its work, if it cannot: it has lost the broker, or has no key to issue with.
func (e *Env) Healthy() error {
	if !e.NATS.IsConnected() {
		return errors.New("not connected to the broker")
	}
	if e.ring == nil {
		return nil
	}
	return e.ring.Ready()
}

// patience is how long a service may take to finish what it has in hand.
const patience = 5 * time.Second

// Server is an HTTP or gRPC server.
type Server interface {
	Serve(net.Listener) error
	// Shutdown takes nothing new, and returns when what is in hand is answered or ctx is done.
	Shutdown(ctx context.Context) error
}

// Serve says that the replica is ready, and serves until ctx is done and what is in hand is answered.
func (e *Env) Serve(ctx context.Context, lis net.Listener, srv Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(lis) }()
	e.ready(e, lis.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return srv.Shutdown(late)
}

// ServeNATS says that the replica, which listens to the broker only, is ready, and waits until ctx is done and what came
// is handled.
func (e *Env) ServeNATS(ctx context.Context) error {
	if err := e.NATS.Flush(); err != nil { // the server has our subscriptions now
		return err
	}
	e.ready(e, "-")
	<-ctx.Done()
	closed := make(chan struct{})
	e.NATS.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := e.NATS.Drain(); err != nil {
		return err
	}
	select {
	case <-closed:
	case <-time.After(patience):
	}
	return nil
}

// Work takes a little time, as a service does that asks somebody else. Without it hardly a kill would interrupt
// anything.
func Work(ctx context.Context) error {
	select {
	case <-time.After(5*time.Millisecond + rand.N(10*time.Millisecond)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
