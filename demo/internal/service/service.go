// Package service is what every process of the demo's fleet begins with: the broker, the keys, the
// Authority, the tracer. [Main] runs a process that the demo started, and [Container] one that a
// container engine started.
package service

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/crew"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/keyring"
)

// Env is a service's environment. The service's context is done when the service is to finish what
// it has in hand and end.
type Env struct {
	fleet.Spec
	Auth  *waybill.Authority
	NATS  *nats.Conn
	Watch *watch.Reporter

	ring  *keyring.Ring
	ready func(*Env, string)
}

// Main makes this process the replica that its starter wants, and runs it until it fails or the
// starter is gone.
func Main(run func(context.Context, *Env) error) error {
	// When the broker is paused, sixteen services would warn at once that the ring is not
	// refreshed.
	logFrom(slog.LevelError)
	spec, ctx, err := fleet.Child()
	if err != nil {
		return err
	}
	line, err := broker.Join(spec.Broker, spec.Secrets, spec.Name)
	if err != nil {
		return err
	}
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	return start(ctx, drain, spec, line, run, func(_ *Env, addr string) { fleet.Ready(addr) })
}

// logFrom sets from which level on the process writes a log.
func logFrom(level slog.Level) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// start runs the replica that spec describes until it fails, or until ctx ends and the requests
// under way are done. It calls ready, with where the replica listens, when it serves.
func start(ctx context.Context, drain func(), spec fleet.Spec, line *broker.Line, run func(context.Context, *Env) error,
	ready func(e *Env, addr string)) error {
	debug.SetGCPercent(25) // so many small processes on one machine: memory is dearer than a little time
	flush, err := tracing.Setup(spec.Name, line.Conn)
	if err != nil {
		return err
	}
	defer flush()
	if err := crew.Obey(line, spec.Name, drain); err != nil {
		return err
	}
	e := &Env{Spec: spec, NATS: line.Conn, ready: ready}
	if _, member := keys.Members[spec.Role]; member { // the balancer is not: it knows no waybills
		if e.ring, err = keys.Open(ctx, e.NATS, spec.Secrets, spec.Role, keys.Policy(spec.Period)); err != nil {
			return err
		}
		defer e.ring.Close()
		e.Auth, err = waybill.New(trip.Domain, e.ring, waybill.Claims(trip.Claims...), waybill.Life(keys.Life))
		if err != nil {
			return err
		}
	}
	e.Watch = watch.NewReporter(e.NATS, spec.Name, e.Auth, e.ring)
	go e.Watch.Pulse(ctx)
	return run(ctx, e)
}

// healthy returns why the replica cannot do its work, if it cannot: it has lost the broker, or has
// no key to issue with.
func (e *Env) healthy() error {
	if !e.NATS.IsConnected() {
		return errors.New("not connected to the broker")
	}
	if e.ring == nil {
		return nil
	}
	return e.ring.Ready()
}

// drain is how long a replica that is asked to end works on requests under way.
const drain = 8 * time.Second

// ServeHTTP serves with a handler until ctx ends and the requests under way are done.
func (e *Env) ServeHTTP(ctx context.Context, handler http.Handler) error {
	srv := &http.Server{Handler: otelhttp.NewHandler(handler, e.Role), ReadHeaderTimeout: 5 * time.Second}
	return e.Serve(ctx, srv.Serve, srv.Shutdown)
}

// Serve listens, says that the replica is ready, and serves until ctx ends. Then shutdown returns when
// the requests under way are done, or its context is.
func (e *Env) Serve(ctx context.Context, serve func(net.Listener) error, shutdown func(context.Context) error) error {
	lis, err := e.Listen()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(lis) }()
	e.ready(e, lis.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return shutdown(ctx)
}

// ServeNATS says that the replica, which listens to the broker only, is ready, and waits until ctx
// ends and the messages that it has are done.
func (e *Env) ServeNATS(ctx context.Context) error {
	if err := e.NATS.Flush(); err != nil { // the server has our subscriptions now
		return err
	}
	e.ready(e, "-")
	<-ctx.Done()
	if e.ring != nil {
		e.ring.Close() // its keys stay usable
	}
	closed := e.NATS.StatusChanged(nats.CLOSED)
	if err := e.NATS.Drain(); err != nil {
		return err
	}
	select {
	case <-closed:
	case <-time.After(drain):
	}
	return nil
}

// Work takes a little time, like a service that calls another one. Without it hardly any kill would
// interrupt anything.
func Work(ctx context.Context) error {
	return wait.For(ctx, 5*time.Millisecond+rand.N(10*time.Millisecond))
}
