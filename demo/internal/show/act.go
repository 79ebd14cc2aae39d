package show

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// minuteLength is how long the 60-second show is. The last seconds are for bookings to end.
const minuteLength = 60 * time.Second

// act is a show on a stage: the 60-second show, or a storm. The seed decides which replicas are
// hit.
type act struct {
	*stage
	rng      *rand.Rand
	probe    probe
	kills    []kill
	draining atomic.Bool            // no new bookings, please
	scene    atomic.Pointer[string] // what happens now
	began    time.Time

	// The figures when it began. Travellers may have booked on this stage before.
	cards     []page.Card
	misrouted int64
	failed    int
	since     float64 // seconds after the stage's start

	storm storm
}

// kill is one SIGKILL.
type kill struct {
	replica string
	cut     int // requests and messages that the process was handling
}

func newAct(s *stage, seed uint64) *act {
	a := &act{stage: s, rng: rand.New(rand.NewPCG(seed, 60)), began: time.Now()}
	a.cards, a.since = s.cards(), s.at()
	a.misrouted, a.failed = s.driver.Trouble.Misrouted.Load(), len(s.failed())
	a.say("The fleet works, and nothing is wrong yet.")
	return a
}

func (a *act) say(text string) { a.scene.Store(&text) }

// scene is what happens at a time of the show.
type scene struct {
	at   time.Duration
	text string
	do   func(*act, context.Context) error
}

// scenes are the show.
var scenes = []scene{
	{5 * time.Second, "A cart is killed in the middle of its work.", strike("cart")},
	{8 * time.Second, "A gateway is killed, and its sticky twin.", strike("gateway")},
	{12 * time.Second, "The operator rotates the keys.", (*act).rotate},
	{15 * time.Second, "All gateways are restarted, one by one, and so are the sticky servers.",
		func(a *act, ctx context.Context) error { return a.rollAll(ctx, "gateway") }},
	{31 * time.Second, "The keys are rotated again.", (*act).rotate},
	{33 * time.Second, "The broker delays every message for two seconds.", func(a *act, _ context.Context) error { return a.pauseBroker(brokerPause) }},
	{36 * time.Second, "A worker is killed that has an order in hand.", strike("fulfil")},
	{38 * time.Second, "If the central store is on, it is killed.", (*act).strikeStore},
	{41 * time.Second, "Only one replica of each service is left.", (*act).decimate},
	{45 * time.Second, "Somebody forges waybills, sends an old one again, and one abroad.",
		func(a *act, ctx context.Context) error { return a.probe.run(ctx, a.stage) }},
	{50 * time.Second, "All replicas are back.", (*act).revive},
	{55 * time.Second, "No new bookings: those under way come to their end.", (*act).drain},
}

// play returns when the minute is over.
func (a *act) play(ctx context.Context) error {
	for _, s := range scenes {
		if err := wait.For(ctx, time.Until(a.began.Add(s.at))); err != nil {
			return err
		}
		a.say(s.text)
		if err := s.do(a, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.text, err)
		}
	}
	return wait.For(ctx, time.Until(a.began.Add(minuteLength)))
}

// strike kills a replica and notes that.
func (a *act) strike(ctx context.Context, name, label string) (cut int, err error) {
	if cut, err = a.kill(ctx, name, label); err == nil {
		a.kills = append(a.kills, kill{name, cut})
	}
	return cut, err
}

// strike kills a replica of a role in the middle of its work, and brings it back after a second.
func strike(role string) func(*act, context.Context) error {
	return func(a *act, ctx context.Context) error {
		name, err := a.busy(ctx, a.rng, role)
		if err != nil {
			return err
		}
		if _, err := a.strike(ctx, name, name+" killed"); err != nil {
			return err
		}
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
		return a.restart(ctx, name)
	}
}

// strikeStore kills the central store for a second, if it is on.
func (a *act) strikeStore(ctx context.Context) error {
	if !a.storeOn.Load() || len(a.up("sessiond")) == 0 { // nobody here can kill a Redis in a container
		return nil
	}
	return strike("sessiond")(a, ctx)
}

// decimate leaves one replica of each service that has several. Pricing has one in each cell
// anyway.
func (a *act) decimate(ctx context.Context) error {
	for _, role := range []string{"gateway", "cart", "payment", "fulfil"} {
		names := a.up(role)
		left := a.rng.IntN(len(names))
		for i, name := range names {
			if i == left {
				continue
			}
			label := ""
			if role == "gateway" && i == (left+1)%len(names) {
				label = "one of each left"
			}
			if _, err := a.strike(ctx, name, label); err != nil {
				return err
			}
		}
	}
	return nil
}

// revive starts the replicas that are down.
func (a *act) revive(ctx context.Context) error {
	for _, name := range a.fleet.Names("") {
		if !a.isUp(name) {
			if err := a.restart(ctx, name); err != nil {
				return err
			}
		}
	}
	a.tell(page.Restarted, "all back", "Started everything again that was down.")
	return nil
}

// drain asks for no new bookings.
func (a *act) drain(context.Context) error {
	a.draining.Store(true)
	a.tell(page.Note, "", "No new bookings; those under way come to their end.")
	return nil
}
