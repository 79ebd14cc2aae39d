package show

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/crew"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/operator"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/visitor"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Where the page's container listens, beside the page itself. The compose file knows these.
const (
	collectorAddress = ":4318" // all replicas' spans
	abroadAddress    = ":8090" // the foreign host, whose name is abroad
)

// Page is the service that shows a fleet in containers, on which it has no other hold than the broker: the page, the bot
// and the buttons. It is the operator of the key ring.
func Page(ctx context.Context, e *service.Env) error {
	if len(e.Peers["lb"]) == 0 {
		return fmt.Errorf("run %s: say where the balancer is: --peer=lb=ADDRESS", e.Role)
	}
	lis, err := e.Listen()
	if err != nil {
		return err
	}
	l := newLive(ctx, plan{seed: 1, rate: easier, think: unhurried, period: keys.Steady.Period, keep: remembered})
	defer l.stage.close()
	if err := l.stage.join(ctx, e); err != nil {
		lis.Close()
		return err
	}
	shown := page.New(l)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { l.run(ctx, shown, l.stage.assembled) })
	return e.Serve(ctx, lis, browsers{&http.Server{Handler: shown, ReadHeaderTimeout: 5 * time.Second}})
}

// browsers hold their streams for as long as they are open: nobody waits for them.
type browsers struct{ *http.Server }

// Shutdown implements service.Server.
func (b browsers) Shutdown(context.Context) error { return b.Close() }

// join makes a stage of a fleet in containers.
func (s *stage) join(ctx context.Context, e *service.Env) error {
	var err error
	s.nats = e.NATS
	if s.js, err = jetstream.New(s.nats); err != nil {
		return err
	}
	if s.observer, err = watch.NewObserver(s.nats); err != nil {
		return err
	}
	if s.collector, err = s.collect(collectorAddress); err != nil {
		return err
	}
	if s.operator, err = operator.With(s.nats, e.Secrets); err != nil {
		return fmt.Errorf("%w: has \"demo init\" run?", err)
	}
	if s.ring, err = s.operator.Watch(ctx, s.swapped, s.ledger.Revoked); err != nil {
		return err
	}
	abroad, err := visitor.OpenAbroad(abroadAddress, "abroad")
	if err != nil {
		return err
	}
	s.visitor = &visitor.Visitor{Observer: s.observer, JS: s.js, Abroad: abroad}
	all := crew.Follow(s.nats, s.observer, slices.Concat(Roles, Baseline))
	s.fleet, s.hub = all, all
	s.connect("http://" + e.Peers["lb"][0])
	return nil
}

// assembled returns when there is somebody in each role.
func (s *stage) assembled(ctx context.Context) error {
	missing := func() bool {
		return slices.ContainsFunc(Roles, func(role string) bool { return len(s.up(role)) == 0 }) || len(s.up("sticky")) == 0
	}
	for missing() {
		if err := pause(ctx, frame); err != nil {
			return err
		}
	}
	s.tell(page.Note, "", "%d containers give signs of life. A bot books %d trips a second.", len(s.up("")), easier)
	return nil
}

// findStore returns why the lane of the central store cannot be switched on, if it cannot.
func (s *stage) findStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client := driver.NewClient(s.url, driver.Store, new(driver.Trouble))
	r, err := client.Post(ctx, gateway.Search, url.Values{"to": {"AMS"}, "cell": {"eu"}}, "")
	if err != nil || r.Status != http.StatusOK {
		return fmt.Errorf("%w: no central store runs; docker compose --profile redis up -d starts one", page.ErrNotNow)
	}
	return nil
}
