// Package service is what every process of the demo's fleet begins with: the broker, the keys, the Authority, the
// tracer.
package service

import (
	"context"
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
)

// Env is what a service has.
type Env struct {
	fleet.Spec
	Auth  *waybill.Authority
	NATS  *nats.Conn
	Watch *watch.Reporter
}

// Main makes this process the replica that its starter wants, and runs it until it fails or the starter is gone.
func Main(run func(context.Context, *Env) error) error {
	// A key swap is worth a line to an operator, but fifteen services would say it at once.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	debug.SetGCPercent(25) // so many small processes on one machine: memory is dearer than a little time
	spec, err := fleet.Child()
	if err != nil {
		return err
	}
	nc, err := broker.Connect(spec.Broker, spec.Password, spec.Name)
	if err != nil {
		return err
	}
	tracing.Setup(nc, spec.Name)
	ctx := context.Background()
	e := &Env{Spec: spec, NATS: nc, Watch: watch.NewReporter(nc, spec.Name)}
	if spec.Keys != nil { // the balancer has none: it does not know what a waybill is
		ring, err := spec.Keys.Open(ctx, nc, trip.Domain)
		if err != nil {
			return err
		}
		if e.Auth, err = waybill.New(trip.Domain, ring, waybill.Claims(trip.Claims...), waybill.Life(keys.Life)); err != nil {
			return err
		}
	}
	return run(ctx, e)
}

// Serve says that the replica is ready and serves.
func (e *Env) Serve(lis net.Listener, serve func(net.Listener) error) error {
	fleet.Ready(lis.Addr().String())
	return serve(lis)
}

// ServeNATS says that the replica, which listens to the broker only, is ready, and waits for the end of the process.
func (e *Env) ServeNATS() error {
	if err := e.NATS.Flush(); err != nil { // the server has our subscriptions now
		return err
	}
	fleet.Ready("-")
	select {}
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
