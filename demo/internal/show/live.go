package show

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// Address is where the page is, if nobody else is there.
const Address = "127.0.0.1:7717"

// easy is how many bookings begin in a second while somebody looks on. Containers take more of a machine than processes.
const (
	easy   = 12
	easier = 4
)

// frame is the time between two snapshots.
const frame = 200 * time.Millisecond

// Live is the demo with its page: a stage whose trouble is made by whoever looks at it. It implements page.Controls.
type Live struct {
	plan  plan
	stage *stage
	ctx   context.Context // of the whole run; what a control begins may take longer than its request
	ready atomic.Bool     // everything runs

	mu      sync.Mutex
	act     *act // the 60-second show; nil if there was none
	verdict *Verdict
	report  map[string][]byte // of the last show that is over: its files
	rolling bool

	// Of the publisher alone:
	rates   rates
	moves   moves
	memory  map[string]fleet.Memory
	weighed time.Time
}

var _ page.Controls = (*Live)(nil)

// Serve shows the demo on a page until ctx is done.
func Serve(ctx context.Context, o Options, w io.Writer) error {
	lis, err := fleet.ListenNextFree(Address)
	if err != nil {
		return err
	}
	defer lis.Close()
	if lis.Addr().String() != Address {
		fmt.Fprintf(w, "%s is taken, so this is on the next free port.\n", Address)
	}
	fmt.Fprintf(w, "http://%s\n", lis.Addr())

	l := newLive(ctx, plan{seed: o.Seed, rate: easy, think: unhurried, period: calm, keep: remembered})
	defer l.stage.close()
	shown := page.New(l)
	srv := &http.Server{Handler: shown, ReadHeaderTimeout: 5 * time.Second}
	go srv.Serve(lis)
	defer srv.Close()
	return l.run(ctx, shown, func(ctx context.Context) error {
		if err := l.stage.open(ctx, l.plan); err != nil {
			return err
		}
		if o.Store {
			if err := l.stage.setStore(ctx, true); err != nil {
				return err
			}
		}
		n := len(l.stage.fleet.Names(""))
		l.stage.tell(page.Note, "", "%d services and a broker were ready after %.1f s. A bot books %d trips a second.", n, l.stage.at(), easy)
		fmt.Fprintf(w, "\n%d service processes and a NATS server are behind it, all on this machine; a bot books %d trips a second.\n"+
			"Ctrl-C ends everything and leaves nothing behind.\n", n, easy)
		if tracing.Redirected() {
			fmt.Fprintf(w, "Traces go to %s, too.\n", os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
		}
		return nil
	})
}

// unhurried is how long travellers think who are looked at, and remembered is how many of their journeys a ledger keeps.
const (
	unhurried  = 600 * time.Millisecond
	remembered = 1000
)

func newLive(ctx context.Context, p plan) *Live { return &Live{plan: p, stage: newStage(p), ctx: ctx} }

// run draws, has everything made ready, and then has the bot book until ctx is done.
func (l *Live) run(ctx context.Context, shown *page.Page, open func(context.Context) error) error {
	var publisher sync.WaitGroup
	defer publisher.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publisher.Go(func() { l.publish(ctx, shown) })
	if err := open(ctx); err != nil {
		return err
	}
	l.ready.Store(true)
	go l.stage.sample(ctx)
	l.drive(ctx)
	return nil
}

// drive has the bot book until ctx is done. It rests while a show comes to its end.
func (l *Live) drive(ctx context.Context) {
	bot := &load{stage: l.stage, rate: l.plan.rate}
	for ctx.Err() == nil {
		bot.run(ctx, func(int) bool { return !l.draining() })
		pause(ctx, frame)
	}
}

// publish draws until ctx is done.
func (l *Live) publish(ctx context.Context, to *page.Page) {
	for {
		to.Publish(l.snapshot(ctx))
		if pause(ctx, frame) != nil {
			return
		}
	}
}
