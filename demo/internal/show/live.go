package show

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// Address is where the page is, if the port is free.
const Address = "127.0.0.1:7717"

// How many bookings begin in a second while somebody looks on. Containers take more of a machine
// than processes.
const (
	easy   = 12
	easier = 4
)

// unhurried is how long travellers think while somebody looks on, and remembered is how many of
// their journeys a ledger keeps.
const (
	unhurried  = 600 * time.Millisecond
	remembered = 1000
)

// frame is the time between two snapshots.
const frame = 200 * time.Millisecond

// Live is a stage with a bot, on which a show can be played.
type Live struct {
	plan  plan
	stage *stage
	ctx   context.Context // of the whole run; what a control begins may take longer than its request
	ready atomic.Bool     // everything runs

	mu      sync.Mutex
	act     *act // the show; nil if there was none
	verdict *Verdict
	report  []byte // of the last show that is over
	rolling bool

	// The publisher alone uses these.
	rates rates
	moves moves
}

func newLive(ctx context.Context, p plan) *Live { return &Live{plan: p, stage: newStage(p), ctx: ctx} }

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
	shown, err := l.page()
	if err != nil {
		return err
	}
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
		l.stage.tell(page.Note, "", "%d services and a broker were ready after %.1f s. "+
			"A bot books %d trips a second.", n, l.stage.at(), easy)
		fmt.Fprintf(w, "\n%d service processes and a NATS server run on this machine; a bot books %d trips a second.\n"+
			"Ctrl-C ends everything and leaves nothing behind.\n", n, easy)
		if tracing.Redirected() {
			fmt.Fprintf(w, "Traces also go to %s.\n", os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
		}
		return nil
	})
}

// Page is the service that shows a fleet in containers, which it reaches over the broker alone: the
// page, the bot and the buttons. It is the operator of the key ring.
func Page(ctx context.Context, e *service.Env) error {
	if len(e.Peers["lb"]) == 0 {
		return fmt.Errorf("run %s: pass the balancer's address: --peer=lb=ADDRESS", e.Role)
	}
	l := newLive(ctx, plan{seed: 1, rate: easier, think: unhurried, period: keys.Steady.Period, keep: remembered})
	defer l.stage.close()
	if err := l.stage.join(ctx, e); err != nil {
		return err
	}
	shown, err := l.page()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { l.run(ctx, shown, l.stage.assembled) })
	srv := &http.Server{Handler: shown, ReadHeaderTimeout: 5 * time.Second}
	// The streams stay open as long as the browsers like, so it ends without waiting for them.
	return e.Serve(ctx, srv.Serve, func(context.Context) error { return srv.Close() })
}

// assembled returns when there is a replica of each role.
func (s *stage) assembled(ctx context.Context) error {
	missing := func(role string) bool { return len(s.up(role)) == 0 }
	for slices.ContainsFunc(append(slices.Clone(Roles), "sticky"), missing) {
		if err := wait.For(ctx, frame); err != nil {
			return err
		}
	}
	s.tell(page.Note, "", "%d containers give signs of life. A bot books %d trips a second.", len(s.up("")), easier)
	return nil
}

// run draws, makes everything ready with open, and then lets the bot book until ctx is done.
func (l *Live) run(ctx context.Context, shown *page.Page, open func(context.Context) error) error {
	var publisher sync.WaitGroup
	defer publisher.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publisher.Go(func() {
		for {
			shown.Publish(l.snapshot(ctx))
			if wait.For(ctx, frame) != nil {
				return
			}
		}
	})
	if err := open(ctx); err != nil {
		return err
	}
	l.ready.Store(true)
	go l.stage.sample(ctx)
	l.drive(ctx)
	return nil
}

// drive lets the bot book until ctx is done. The bot rests while a show comes to its end.
func (l *Live) drive(ctx context.Context) {
	for ctx.Err() == nil {
		l.stage.book(ctx, l.plan.rate, func(int) bool { return !l.draining() })
		wait.For(ctx, frame)
	}
}

// begin begins a show, which has to be performed.
func (l *Live) begin() (*act, error) {
	a := newAct(l.stage, l.plan.seed)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rolling || l.act != nil && l.verdict == nil {
		return nil, fmt.Errorf("%w: a rolling restart or a show is under way", page.ErrNotNow)
	}
	l.act, l.verdict = a, nil
	return a, nil
}

// lateness is how long the last bookings of a show may take to end after it. A traveller tries a
// step for 30 s.
const lateness = 40 * time.Second

// perform plays a show that has begun, and judges it.
func (l *Live) perform(ctx context.Context, a *act, play func(context.Context) error) (*Verdict, error) {
	s := l.stage
	s.tell(page.Note, "show", "The show begins.")
	failure := play(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if failure != nil {
		a.revive(ctx)
	}
	a.draining.Store(true)
	for late := time.Now().Add(lateness); s.ledger.Totals().Live > 0 && time.Now().Before(late); {
		if err := wait.For(ctx, frame); err != nil {
			return nil, err
		}
	}
	v := &Verdict{Seed: l.plan.seed, Seconds: time.Since(a.began).Seconds()}
	v.judge(ctx, a, l.plan.keep == 0, failure)
	report, err := v.report(s, a.since)
	if err != nil {
		return nil, err
	}
	a.say("That was it.")
	s.tell(page.Note, "show over", "The show is over: %d journeys lost; sticky lost %d.",
		v.Lanes[0].Lost-a.cards[0].Lost, v.Lanes[1].Lost-a.cards[1].Lost)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verdict, l.report = v, report
	return v, nil
}

// playing reports whether a show runs.
func (l *Live) playing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.act != nil && l.verdict == nil
}

// draining reports whether a show wants no new bookings.
func (l *Live) draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.act != nil && l.verdict == nil && l.act.draining.Load()
}
