// Package show puts the demo together: the fleet on its stage, what goes wrong with it, the page and the verdict.
package show

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/visitor"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/keyring"
)

// stage is everything that runs.
type stage struct {
	*chronicle
	fleet     company
	hub       hub
	processes *fleet.Fleet   // the same as fleet, if these are processes of our own
	broker    *broker.Broker // likewise
	nats      *nats.Conn
	js        jetstream.JetStream
	operator  *keys.Operator
	ring      *keyring.Ring // of the operator, who only looks on
	observer  *watch.Observer
	spans     *tracing.Receiver
	traces    *http.Server
	collector string // its URL
	flush     func()
	visitor   *visitor.Visitor
	ledger    *ledger.Ledger // of the travellers with waybills
	driver    *driver.Driver // of the same
	sticky    *driver.Driver // the same trips, with sessions in memory
	store     *driver.Driver // the same trips, with sessions in one store
	storeOn   atomic.Bool
	held      net.Listener // keeps the store's port until the store is switched on
	probes    sync.Map     // ids of journeys that are in no ledger
	url       string       // of the balancer
}

// company is the replicas, wherever they are: processes of our own, or containers that an engine starts.
type company interface {
	Names(role string) []string // in order; of all roles if it is empty
	Up(name string) bool
	Starting(name string) bool
	PID(name string) int                                           // 0 if it says nothing to anybody
	Memory() map[string]fleet.Memory                               // empty if unknown
	Crashes() []string                                             // replicas that ended though nobody wanted it
	Kill(ctx context.Context, name string) error                   // returns when it is dead
	Drain(ctx context.Context, name string, d time.Duration) error // has it end within d, with nothing left in its hands
	Restart(ctx context.Context, name string) error                // returns when it is up
}

// hub is what all messages go through.
type hub interface {
	Pause(d time.Duration)
	Paused() bool
}

// plan is what a stage is made for.
type plan struct {
	seed     uint64
	rate     int           // of the bot, in bookings a second
	think    time.Duration // of the travellers
	period   time.Duration // of the keys
	keep     int           // pages of the ledgers; 0 for all
	sabotage driver.Sabotage
}

// newStage returns a stage on which nothing runs yet.
func newStage(p plan) *stage {
	lane := func(l driver.Lane) *driver.Driver {
		return &driver.Driver{Lane: l, Ledger: &ledger.Ledger{Keep: p.keep}, Seed: p.seed, Think: p.think}
	}
	s := &stage{chronicle: newChronicle(), spans: &tracing.Receiver{}}
	s.driver, s.sticky, s.store = lane(driver.Waybill), lane(driver.Sticky), lane(driver.Store)
	s.driver.Sabotage, s.ledger = p.sabotage, s.driver.Ledger
	return s
}

// replicas are how many there are of each role. Pricing has one in each cell.
var replicas = map[string]int{"cart": 3, "payment": 2, "fulfil": 2, "gateway": 3, "sticky": 3}

// Roles are the services, in the order in which a request meets them.
var Roles = []string{"lb", "gateway", "cart", "pricing", "payment", "fulfil"}

// Baseline are the services beside them, which keep sessions.
var Baseline = []string{"sticky", "sessiond"}

// open starts everything. The caller closes the stage, also one that comes with an error.
func (s *stage) open(ctx context.Context, p plan) error {
	var err error
	if s.processes, err = fleet.Open(ctx); err != nil {
		return err
	}
	if s.broker, err = broker.Start(filepath.Join(s.processes.Dir(), "jetstream")); err != nil {
		return err
	}
	s.fleet, s.hub = s.processes, s.broker
	if s.nats, err = s.broker.Connect("driver"); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nats); err != nil {
		return err
	}
	if err := broker.Declare(ctx, s.js); err != nil {
		return err
	}
	if s.observer, err = watch.NewObserver(s.nats); err != nil {
		return err
	}
	if s.collector, err = s.collect("127.0.0.1:0"); err != nil {
		return err
	}
	if s.flush, err = tracing.Setup("driver", s.collector); err != nil {
		return err
	}
	if s.operator, err = keys.Create(ctx, s.nats, s.processes.Dir(), trip.Domain, keys.Policy(p.period), keys.Members); err != nil {
		return err
	}
	if s.ring, err = s.operator.Watch(ctx, s.swapped, s.ledger.Revoked); err != nil {
		return err
	}
	base := fleet.Spec{
		Broker: s.broker.URL(), Password: s.broker.Password(), Traces: s.collector, Dir: s.processes.Dir(),
	}
	if err := s.start(ctx, base); err != nil {
		return err
	}
	s.connect("http://" + s.processes.Addrs("lb")[0])
	return nil
}

// connect tells everybody where the balancer is.
func (s *stage) connect(url string) {
	s.url = url
	for _, d := range s.lanes() {
		d.Connect(url)
	}
	s.visitor.Connect(url)
}

// collect starts the receiver of the traces, and returns its URL.
func (s *stage) collect(addr string) (url string, err error) {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	s.traces = &http.Server{Handler: s.spans, ReadHeaderTimeout: 5 * time.Second}
	go s.traces.Serve(lis)
	return "http://" + lis.Addr().String() + "/v1/traces", nil
}

// lanes are the drivers, also of lanes that are off.
func (s *stage) lanes() []*driver.Driver { return []*driver.Driver{s.driver, s.sticky, s.store} }

// start starts the services, whoever is called before whoever calls it.
func (s *stage) start(ctx context.Context, base fleet.Spec) error {
	abroad, err := visitor.OpenAbroad("127.0.0.1:0", "localhost")
	if err != nil {
		return err
	}
	s.visitor = &visitor.Visitor{Observer: s.observer, JS: s.js, Abroad: abroad}
	if s.held, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	var behind []fleet.Spec
	for _, role := range []string{"cart", "payment", "fulfil"} {
		behind = append(behind, several(base, role, s.operator)...)
	}
	for _, cell := range trip.Cells {
		pricing := base
		pricing.Role, pricing.Name, pricing.Cell = "pricing", "pricing-"+cell, cell
		pricing.Keys = s.operator.Member("pricing")
		behind = append(behind, pricing)
	}
	base.Peers = map[string][]string{"sessiond": {s.held.Addr().String()}}
	behind = append(behind, several(base, "sticky", s.operator)...)
	if err := s.processes.Start(ctx, behind...); err != nil {
		return err
	}
	base.Peers = map[string][]string{
		"cart": s.processes.Addrs("cart"), "payment": s.processes.Addrs("payment"), "abroad": {abroad.Addr()},
	}
	if err := s.processes.Start(ctx, several(base, "gateway", s.operator)...); err != nil {
		return err
	}
	base.Peers = map[string][]string{"gateway": s.processes.Addrs("gateway"), "sticky": s.processes.Addrs("sticky")}
	return s.processes.Start(ctx, several(base, "lb", s.operator)...)
}

// several returns the replicas of a role, each with its keys if the role has any.
func several(base fleet.Spec, role string, operator *keys.Operator) []fleet.Spec {
	base.Role, base.Keys = role, operator.Member(role)
	specs := make([]fleet.Spec, max(1, replicas[role]))
	for i := range specs {
		specs[i] = base
		specs[i].Name = fmt.Sprintf("%s-%d", role, i+1)
	}
	return specs
}

// own reports whether a journey is one of ours, which no traveller has in a ledger.
func (s *stage) own(sid string) bool {
	_, ok := s.probes.Load(sid)
	return ok
}

// probed is how many such journeys there are.
func (s *stage) probed() (n int) {
	s.probes.Range(func(any, any) bool { n++; return true })
	return n
}

// setStore switches the lane of the central store on or off. The first time, the store is started.
func (s *stage) setStore(ctx context.Context, on bool) error {
	switch {
	case !on:
	case s.processes == nil:
		if err := s.findStore(ctx); err != nil {
			return err
		}
	case len(s.processes.Names("sessiond")) == 0:
		spec := fleet.Spec{
			Role: "sessiond", Name: "sessiond-1", Addr: s.held.Addr().String(), Dir: s.processes.Dir(),
			Broker: s.broker.URL(), Password: s.broker.Password(), Traces: s.collector,
		}
		s.held.Close()
		if err := s.processes.Start(ctx, spec); err != nil {
			return err
		}
	}
	s.storeOn.Store(on)
	return nil
}

// close ends everything that is ours. The directory goes last: the broker writes to it until it has stopped.
func (s *stage) close() {
	if s.processes != nil {
		s.processes.Stop()
	}
	if s.ring != nil {
		s.ring.Close()
	}
	if s.visitor != nil {
		s.visitor.Abroad.Close()
	}
	if s.held != nil {
		s.held.Close()
	}
	if s.flush != nil {
		s.flush()
	}
	if s.traces != nil {
		s.traces.Close()
	}
	if s.processes == nil {
		return
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	s.processes.Close()
}
