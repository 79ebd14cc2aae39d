// Package show puts the demo together: the fleet on its stage, the script of what goes wrong, and the verdict.
package show

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/keyring"
)

// stage is everything that runs.
type stage struct {
	fleet    *fleet.Fleet
	broker   *broker.Broker
	nats     *nats.Conn
	js       jetstream.JetStream
	ring     *keyring.Ring // of the operator, who only looks on
	observer *watch.Observer
	spans    *tracing.Collector
	ledger   *ledger.Ledger
	driver   *driver.Driver
	url      string // of the balancer
}

// replicas are how many there are of each role. Pricing has one in each cell.
var replicas = map[string]int{"cart": 3, "payment": 2, "fulfil": 2, "gateway": 3}

// Roles are the services, in the order in which a request meets them.
var Roles = []string{"lb", "gateway", "cart", "pricing", "payment", "fulfil"}

// open starts everything, the balancer on addr. The caller closes the stage, also one that comes with an error.
func open(ctx context.Context, addr string, d *driver.Driver) (*stage, error) {
	s := &stage{ledger: &ledger.Ledger{}, driver: d}
	var err error
	if s.fleet, err = fleet.Open(ctx); err != nil {
		return s, err
	}
	if s.broker, err = broker.Start(filepath.Join(s.fleet.Dir(), "jetstream")); err != nil {
		return s, err
	}
	if s.nats, err = broker.Connect(s.broker.URL(), s.broker.Password(), "driver"); err != nil {
		return s, err
	}
	if s.js, err = jetstream.New(s.nats); err != nil {
		return s, err
	}
	if err := broker.Declare(ctx, s.js); err != nil {
		return s, err
	}
	if s.observer, err = watch.NewObserver(s.nats); err != nil {
		return s, err
	}
	if s.spans, err = tracing.NewCollector(s.nats); err != nil {
		return s, err
	}
	tracing.Setup(s.nats, "driver")
	operator, err := keys.Create(ctx, s.nats, s.fleet.Dir(), trip.Domain, keys.Members)
	if err != nil {
		return s, err
	}
	if s.ring, err = operator.Watch(ctx, s.ledger.Swapped); err != nil {
		return s, err
	}
	base := fleet.Spec{Broker: s.broker.URL(), Password: s.broker.Password()}
	if err := s.start(ctx, base, operator, addr); err != nil {
		return s, err
	}
	s.url = "http://" + s.fleet.Addrs("lb")[0]
	d.Ledger = s.ledger
	d.Connect(s.url)
	return s, nil
}

// start starts the services, whoever is called before whoever calls it.
func (s *stage) start(ctx context.Context, base fleet.Spec, operator *keys.Operator, addr string) error {
	var behind []fleet.Spec
	for _, role := range []string{"cart", "payment", "fulfil"} {
		behind = append(behind, several(base, role, operator)...)
	}
	for _, cell := range trip.Cells {
		pricing := base
		pricing.Role, pricing.Name, pricing.Cell = "pricing", "pricing-"+cell, cell
		pricing.Keys = operator.Member("pricing")
		behind = append(behind, pricing)
	}
	if err := s.fleet.Start(ctx, behind...); err != nil {
		return err
	}
	base.Peers = map[string][]string{"cart": s.fleet.Addrs("cart"), "payment": s.fleet.Addrs("payment")}
	if err := s.fleet.Start(ctx, several(base, "gateway", operator)...); err != nil {
		return err
	}
	return s.fleet.Start(ctx, fleet.Spec{
		Role: "lb", Name: "lb-1", Addr: addr, NextFree: addr != "",
		Broker: base.Broker, Password: base.Password, // for its reports only: it gets no keys
		Peers: map[string][]string{"gateway": s.fleet.Addrs("gateway")},
	})
}

func several(base fleet.Spec, role string, operator *keys.Operator) []fleet.Spec {
	base.Role, base.Keys = role, operator.Member(role)
	specs := make([]fleet.Spec, replicas[role])
	for i := range specs {
		specs[i] = base
		specs[i].Name = fmt.Sprintf("%s-%d", role, i+1)
	}
	return specs
}

// close ends everything. The directory goes last: the broker writes to it until it has stopped.
func (s *stage) close() {
	if s.fleet == nil {
		return
	}
	s.fleet.Stop()
	if s.ring != nil {
		s.ring.Close()
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	s.fleet.Close()
}
