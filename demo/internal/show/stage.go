// Package show puts the demo together: the fleet on its stage, what goes wrong with it, the page
// and the verdict. The tests that run a whole show are in the demo's root.
package show

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/crew"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/visitor"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/keyring"
)

// stage is everything that runs.
type stage struct {
	*chronicle
	fleet     company
	processes *fleet.Fleet // the same as fleet, if these are processes of this demo
	server    *server.Server
	line      *broker.Line // the operator's
	js        jetstream.JetStream
	pauses    *crew.Pauses
	operator  *keys.Operator
	ring      *keyring.Ring // of the operator, who only looks on
	observer  *watch.Observer
	spans     *tracing.Receiver
	flush     func()
	visitor   *visitor.Visitor
	ledger    *ledger.Ledger // of the travellers with waybills
	driver    *driver.Driver // of the same
	sticky    *driver.Driver // the same trips, with sessions in memory
	store     *driver.Driver // the same trips, with sessions in one store
	storeOn   atomic.Bool
	storePort net.Listener // reserves the store's port until the store is switched on
	probes    sync.Map     // ids of journeys that are in no ledger
	balancer  *url.URL
	connected atomic.Bool // the balancer is known to all; the page is drawn before

	mu       sync.Mutex
	failures []string // of bookings by travellers with waybills
}

// company is the replicas, wherever they are: processes of this demo, or containers that an engine
// starts.
type company interface {
	Names(role string) []string // in order; of all roles if it is empty
	State(name string) page.State
	PID(name string) int                                           // 0 in a container
	Crashes() []string                                             // replicas that ended though nobody wanted it
	Kill(ctx context.Context, name string) error                   // returns when it is dead
	Drain(ctx context.Context, name string, d time.Duration) error // has it end within d, with nothing left in hand
	Restart(ctx context.Context, name string) error                // returns when it is up
}

// plan is what a stage is made for.
type plan struct {
	seed   uint64
	rate   int           // of the bot, in bookings a second
	think  time.Duration // of the travellers
	period time.Duration // of the keys
	keep   int           // pages of the ledgers; 0 for all
}

// newStage returns a stage on which nothing runs yet.
func newStage(p plan) *stage {
	lane := func(l driver.Lane) *driver.Driver {
		return &driver.Driver{Lane: l, Ledger: &ledger.Ledger{Keep: p.keep}, Seed: p.seed, Think: p.think}
	}
	s := &stage{chronicle: newChronicle(), spans: &tracing.Receiver{}}
	s.driver, s.sticky, s.store = lane(driver.Waybill), lane(driver.Sticky), lane(driver.Store)
	s.ledger = s.driver.Ledger
	return s
}

// replicas are how many there are of each role. Pricing has one in each cell.
var replicas = map[string]int{"cart": 3, "payment": 2, "fulfil": 2, "gateway": 3, "sticky": 3, "lb": 1}

// Roles are the services, in the order in which a request meets them.
var Roles = []string{"lb", "gateway", "cart", "pricing", "payment", "fulfil"}

// Baseline are the services that keep sessions.
var Baseline = []string{"sticky", "sessiond"}

// open starts everything as processes of this demo. The caller closes the stage, even if open
// returns an error.
func (s *stage) open(ctx context.Context, p plan) error {
	var err error
	if s.processes, err = fleet.Open(ctx); err != nil {
		return err
	}
	s.fleet = s.processes
	dir := s.processes.Dir()
	for _, member := range keys.Volumes {
		if err := os.Mkdir(filepath.Join(dir, member), 0o700); err != nil {
			return err
		}
	}
	if err := keys.Init(dir); err != nil {
		return err
	}
	config := filepath.Join(dir, keys.BrokerVolume, keys.ConfigFile)
	if s.server, err = broker.Start(config, filepath.Join(dir, "jetstream")); err != nil {
		return err
	}
	secrets := filepath.Join(dir, keys.OperatorName)
	if s.line, err = broker.Join(s.server.ClientURL(), secrets, "driver"); err != nil {
		return err
	}
	if s.operator, err = keys.NewOperator(s.line.Conn, secrets, keys.Policy(p.period)); err != nil {
		return err
	}
	if _, err := s.operator.Declare(ctx); err != nil {
		return err
	}
	abroad, err := visitor.OpenAbroad("127.0.0.1:0", "localhost")
	if err != nil {
		return err
	}
	if err := s.equip(ctx, s.line.Conn, abroad); err != nil {
		return err
	}
	if s.flush, err = tracing.Setup("driver", s.line.Conn); err != nil {
		return err
	}
	if s.storePort, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	return s.start(ctx, p.period)
}

// abroadAddress is where the page's container is the foreign host, whose name is abroad. The
// compose file uses the port.
const abroadAddress = ":8090"

// join makes a stage of a fleet in containers.
func (s *stage) join(ctx context.Context, e *service.Env) error {
	var err error
	if s.operator, err = keys.NewOperator(e.NATS, e.Secrets, keys.Steady); err != nil {
		return err
	}
	abroad, err := visitor.OpenAbroad(abroadAddress, "abroad")
	if err != nil {
		return err
	}
	if err := s.equip(ctx, e.NATS, abroad); err != nil {
		return err
	}
	s.fleet = crew.Follow(e.NATS, s.observer, slices.Concat(Roles, Baseline))
	s.connect(e.Peers["lb"][0])
	return nil
}

// equip makes what a stage needs to see and to act, wherever the fleet is.
func (s *stage) equip(ctx context.Context, nc *nats.Conn, abroad *visitor.Abroad) error {
	var err error
	if s.js, err = jetstream.New(nc); err != nil {
		return err
	}
	s.pauses = crew.NewPauses(nc)
	if s.observer, err = watch.NewObserver(nc); err != nil {
		return err
	}
	s.visitor = &visitor.Visitor{Observer: s.observer, JS: s.js, Abroad: abroad}
	if err := s.spans.Listen(nc); err != nil {
		return err
	}
	s.ring, err = s.operator.Watch(ctx, s.swapped, s.ledger.Revoked)
	return err
}

// connect tells everyone where the balancer is.
func (s *stage) connect(addr string) {
	s.balancer = &url.URL{Scheme: "http", Host: addr}
	for _, d := range s.lanes() {
		d.Connect(s.balancer)
	}
	s.visitor.Connect(s.balancer)
	s.connected.Store(true)
}

// lanes are the drivers of all lanes, on or off.
func (s *stage) lanes() []*driver.Driver { return []*driver.Driver{s.driver, s.sticky, s.store} }

// lanesOn are the drivers of the lanes that are on.
func (s *stage) lanesOn() []*driver.Driver {
	if s.storeOn.Load() {
		return s.lanes()
	}
	return s.lanes()[:2]
}

// start starts the services. A service starts before those that call it.
func (s *stage) start(ctx context.Context, period time.Duration) error {
	var behind []fleet.Spec
	for _, role := range []string{"cart", "payment", "fulfil"} {
		behind = append(behind, s.several(role, period, nil)...)
	}
	for _, cell := range trip.Cells {
		pricing := s.spec("pricing", "pricing-"+cell)
		pricing.Cell, pricing.Period = cell, period
		behind = append(behind, pricing)
	}
	store := "redis://" + s.storePort.Addr().String()
	behind = append(behind, s.several("sticky", period, map[string][]string{"store": {store}})...)
	if err := s.processes.Start(ctx, behind...); err != nil {
		return err
	}
	peers := map[string][]string{
		"cart": s.processes.Addrs("cart"), "payment": s.processes.Addrs("payment"), "abroad": {s.visitor.Abroad.Addr()},
	}
	if err := s.processes.Start(ctx, s.several("gateway", period, peers)...); err != nil {
		return err
	}
	peers = map[string][]string{"gateway": s.processes.Addrs("gateway"), "sticky": s.processes.Addrs("sticky")}
	if err := s.processes.Start(ctx, s.several("lb", period, peers)...); err != nil {
		return err
	}
	s.connect(s.processes.Addrs("lb")[0])
	return nil
}

// spec describes a replica, as far as all have it in common.
func (s *stage) spec(role, name string) fleet.Spec {
	dir := s.processes.Dir()
	return fleet.Spec{
		Role: role, Name: name, Broker: s.server.ClientURL(), Dir: dir, Secrets: filepath.Join(dir, role),
	}
}

// several describes the replicas of a role.
func (s *stage) several(role string, period time.Duration, peers map[string][]string) []fleet.Spec {
	specs := make([]fleet.Spec, replicas[role])
	for i := range specs {
		specs[i] = s.spec(role, fmt.Sprintf("%s-%d", role, i+1))
		specs[i].Period, specs[i].Peers = period, peers
	}
	return specs
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
		spec := s.spec("sessiond", "sessiond-1")
		spec.Addr, spec.Secrets = s.storePort.Addr().String(), filepath.Join(spec.Dir, "sticky")
		s.storePort.Close()
		if err := s.processes.Start(ctx, spec); err != nil {
			return err
		}
	}
	s.storeOn.Store(on)
	return nil
}

// findStore returns why the lane of a central store in a container cannot be switched on, if it
// cannot.
func (s *stage) findStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	b, err := driver.NewClient(s.balancer, driver.Store, new(driver.Trouble)).Browser()
	if err != nil {
		return err
	}
	r, err := b.Post(ctx, gateway.Search, url.Values{"to": {"AMS"}, "cell": {"eu"}})
	if err != nil || r.Status != http.StatusOK {
		return fmt.Errorf("%w: no central store runs; docker compose --profile redis up -d starts one", page.ErrNotNow)
	}
	return nil
}

// close ends everything that this stage has started. The fleet's directory goes last: the broker
// writes to it until it has stopped.
func (s *stage) close() {
	if s.processes != nil {
		s.processes.Stop()
		defer s.processes.Close()
	}
	if s.ring != nil {
		s.ring.Close()
	}
	if s.visitor != nil {
		s.visitor.Abroad.Close()
	}
	if s.storePort != nil {
		s.storePort.Close()
	}
	if s.flush != nil {
		s.flush()
	}
	if s.line != nil {
		s.line.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
}
