package show

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/clicks"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/visitor"
)

// page returns the page with its buttons.
func (l *Live) page() (*page.Page, error) {
	c := l.controls()
	var err error
	c.Clicks, err = clicks.New()
	return page.New(c), err
}

// controls are the buttons of the page. Those of the visitor's own journey can be used during a
// show, the others not.
func (l *Live) controls() page.Controls {
	ready := func(do page.Action) page.Action {
		return func(r *http.Request) error {
			if !l.ready.Load() {
				return fmt.Errorf("%w: the fleet is still starting", page.ErrNotNow)
			}
			return do(r)
		}
	}
	free := func(do page.Action) page.Action {
		return ready(func(r *http.Request) error {
			if l.playing() {
				return fmt.Errorf("%w: the 60-second show is running, and does this by itself", page.ErrNotNow)
			}
			return do(r)
		})
	}
	step := func(w http.ResponseWriter, r *http.Request) error {
		return ready(func(r *http.Request) error { return l.stage.visitor.Serve(w, r, r.PathValue("step")) })(r)
	}
	held := func(r *http.Request) []string {
		tokens, _ := visitor.Tokens(r)
		return tokens
	}
	return page.Controls{Report: l.lastReport, Trace: l.trace, Step: step, Actions: map[string]page.Action{
		"kill":              free(func(r *http.Request) error { return l.killAny(r.Context()) }),
		"kill/{replica}":    free(func(r *http.Request) error { return l.kill(r.Context(), r.PathValue("replica")) }),
		"restart/{replica}": free(func(r *http.Request) error { return l.restart(r.Context(), r.PathValue("replica")) }),
		"rolling-restart":   free(func(*http.Request) error { return l.rollAll() }),
		"rotate":            free(func(r *http.Request) error { return l.rotate(r.Context()) }),
		"revoke/{kid}":      free(func(r *http.Request) error { return l.revoke(r.Context(), r.PathValue("kid")) }),
		"pause-broker":      free(func(*http.Request) error { return l.pauseBroker() }),
		"store/on":          free(func(r *http.Request) error { return l.setStore(r.Context(), true) }),
		"store/off":         free(func(r *http.Request) error { return l.setStore(r.Context(), false) }),
		"show":              free(func(*http.Request) error { return l.show() }),

		"tamper": ready(func(r *http.Request) error {
			f, err := l.stage.visitor.Tamper(r.Context(), held(r))
			return l.attacked(err, "tampering", "Sent %d forged waybills of your journey: %d accepted.",
				f.Tried, len(f.Accepted))
		}),
		"replay": ready(func(r *http.Request) error {
			n, err := l.stage.visitor.Replay(r.Context(), held(r))
			return l.attacked(err, "replay", "Paid once more with an old waybill of your journey, which has %d ticket.", n)
		}),
		"abroad": ready(func(r *http.Request) error {
			stayed, err := l.stage.visitor.SendAbroad(r.Context(), held(r))
			return l.attacked(err, "abroad", "Your journey called a foreign host: the waybill %s.", where(stayed))
		}),
	}}
}

// attacked logs an attack, if it took place.
func (l *Live) attacked(err error, label, format string, args ...any) error {
	if err == nil {
		l.stage.tell(page.Attack, label, format, args...)
	}
	return err
}

// fate is after how long the demo starts a replica again that was killed by hand. An orchestrator
// would not wait so long; a visitor may want to see what is missing.
const fate = 6 * time.Second

// known returns an error if there is no such replica.
func (l *Live) known(replica string) error {
	if !slices.Contains(l.stage.fleet.Names(""), replica) {
		return fmt.Errorf("%w as the replica %q", page.ErrUnknown, replica)
	}
	return nil
}

// kill kills a replica with SIGKILL, and starts it again later if no visitor does.
func (l *Live) kill(ctx context.Context, replica string) error {
	if err := l.known(replica); err != nil {
		return err
	}
	if !l.stage.isUp(replica) {
		return fmt.Errorf("%w: %s is down already", page.ErrNotNow, replica)
	}
	_, err := l.stage.kill(ctx, replica, replica+" killed")
	time.AfterFunc(fate, func() {
		if l.ctx.Err() != nil || l.playing() || l.stage.fleet.State(replica) != page.Down {
			return
		}
		if l.stage.restart(l.ctx, replica) == nil {
			l.stage.tell(page.Restarted, replica+" back",
				"Nobody restarted %s for %.0f s, so it was started again.", replica, fate.Seconds())
		}
	})
	return err
}

// killAny kills a random replica of a service that has another one to do its work. Pricing's have a
// cell each.
func (l *Live) killAny(ctx context.Context) error {
	var names []string
	for _, role := range Roles {
		if up := l.stage.up(role); len(up) > 1 && role != "pricing" {
			names = append(names, up...)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: no service has a replica to spare", page.ErrNotNow)
	}
	return l.kill(ctx, names[rand.IntN(len(names))])
}

// restart starts a replica that is down.
func (l *Live) restart(ctx context.Context, replica string) error {
	if err := l.known(replica); err != nil {
		return err
	}
	if l.stage.fleet.State(replica) != page.Down {
		return fmt.Errorf("%w: %s is up", page.ErrNotNow, replica)
	}
	began := time.Now()
	if err := l.stage.restart(context.WithoutCancel(ctx), replica); err != nil {
		return err
	}
	what := "There is nothing to load: the next call may go there"
	if roleOf(replica) == "sessiond" {
		what = "The sessions are back from its file"
	}
	l.stage.tell(page.Restarted, replica+" back", "Started %s again, in %d ms. %s.",
		strings.Join(l.stage.pair(replica), " and "), time.Since(began).Milliseconds(), what)
	return nil
}

// rollAll begins a rolling restart.
func (l *Live) rollAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rolling {
		return fmt.Errorf("%w: a rolling restart is under way", page.ErrNotNow)
	}
	l.rolling = true
	go func() {
		l.stage.rollAll(l.ctx, "fulfil", "payment", "pricing", "cart", "gateway", "lb")
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rolling = false
	}()
	return nil
}

// waiting is how many keys may wait for their time before no more are made by hand. The ring's
// policy allows twice as many, and rejects a ring with more.
const waiting = 4

// rotate adds a key. It opens on every replica within a second, and issues soon after that.
func (l *Live) rotate(ctx context.Context) error {
	if n := l.stage.ring.Stats().Pending; n >= waiting {
		return fmt.Errorf("%w: %d keys wait for their time already", page.ErrNotNow, n)
	}
	return l.stage.rotate(ctx)
}

func (l *Live) revoke(ctx context.Context, kid string) error {
	set := l.stage.ring.Set()
	if set.Revoked([]byte(kid)) {
		return fmt.Errorf("%w: the key is revoked already", page.ErrNotNow)
	}
	if set.Lookup([]byte(kid)) == nil {
		return fmt.Errorf("%w as the key %q", page.ErrUnknown, kid)
	}
	return l.stage.revoke(ctx, kid)
}

func (l *Live) pauseBroker() error {
	if l.stage.pauses.Paused() {
		return fmt.Errorf("%w: the broker is paused already", page.ErrNotNow)
	}
	return l.stage.pauseBroker(brokerPause)
}

func (l *Live) setStore(ctx context.Context, on bool) error {
	if on == l.stage.storeOn.Load() {
		return nil
	}
	if err := l.stage.setStore(context.WithoutCancel(ctx), on); err != nil {
		return err
	}
	text := "No more bookings through the central store."
	if on {
		text = "From now on the same trips are also booked with sessions in one central store. " +
			"Kill sessiond-1 to see what depends on it."
	}
	l.stage.tell(page.Note, "", "%s", text)
	return nil
}

// show begins the 60-second show.
func (l *Live) show() error {
	a, err := l.begin()
	if err != nil {
		return err
	}
	go func() {
		if _, err := l.perform(l.ctx, a, a.play); err != nil && l.ctx.Err() == nil {
			l.stage.tell(page.Note, "", "There is no verdict on this show: %v.", err)
		}
	}()
	return nil
}

// lastReport returns the report of the last show.
func (l *Live) lastReport() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.report == nil {
		return nil, fmt.Errorf("%w: no show is over yet", page.ErrNotNow)
	}
	return l.report, nil
}
