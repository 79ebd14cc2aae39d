package show

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// fate is after how long the demo starts a replica again that was killed by hand. An orchestrator would not wait so long;
// a visitor who waits for the only one of its kind waits a little longer.
const fate = 6 * time.Second

// free returns why a control cannot be used now, if it cannot.
func (l *Live) free() error {
	switch {
	case !l.ready.Load():
		return fmt.Errorf("%w: the fleet is still starting", page.ErrNotNow)
	case l.playing():
		return fmt.Errorf("%w: the 60-second show is running, and does this by itself", page.ErrNotNow)
	}
	return nil
}

// known returns why a replica cannot be named, if it cannot.
func (l *Live) known(replica string) error {
	if err := l.free(); err != nil {
		return err
	}
	if !slices.Contains(l.stage.fleet.Names(""), replica) {
		return fmt.Errorf("%w as the replica %q", page.ErrUnknown, replica)
	}
	return nil
}

// Kill implements page.Controls.
func (l *Live) Kill(ctx context.Context, replica string) error {
	if replica == "" {
		if err := l.free(); err != nil {
			return err
		}
		if replica = l.spare(); replica == "" {
			return fmt.Errorf("%w: no service has a replica to spare", page.ErrNotNow)
		}
	}
	if err := l.known(replica); err != nil {
		return err
	}
	if !l.stage.fleet.Up(replica) {
		return fmt.Errorf("%w: %s is down already", page.ErrNotNow, replica)
	}
	_, err := l.stage.kill(ctx, replica, replica+" killed")
	time.AfterFunc(fate, func() { l.rescue(replica) })
	return err
}

// spare picks a replica of a service that has another one to do its work. Those of pricing have a cell each.
func (l *Live) spare() string {
	var names []string
	for _, role := range Roles {
		if up := l.stage.up(role); len(up) > 1 && role != "pricing" {
			names = append(names, up...)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[rand.IntN(len(names))]
}

// rescue starts a replica that nobody else has started.
func (l *Live) rescue(replica string) {
	if l.ctx.Err() != nil || l.free() != nil || l.stage.fleet.Up(replica) || l.stage.fleet.Starting(replica) {
		return
	}
	if l.stage.restart(l.ctx, replica) == nil {
		l.stage.tell(page.Restarted, replica+" back", "Nobody restarted %s for %.0f s, so it was started again.", replica, fate.Seconds())
	}
}

// Restart implements page.Controls.
func (l *Live) Restart(ctx context.Context, replica string) error {
	if err := l.known(replica); err != nil {
		return err
	}
	if l.stage.fleet.Up(replica) || l.stage.fleet.Starting(replica) {
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

// RollingRestart implements page.Controls.
func (l *Live) RollingRestart(context.Context) error {
	if err := l.free(); err != nil {
		return err
	}
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

// waiting is how many keys may wait for their time before no more are made by hand. The ring's policy allows twice as
// many, and refuses a ring with more.
const waiting = 4

// RotateKeys implements page.Controls. The new key opens on every replica within a second, and issues soon after that.
func (l *Live) RotateKeys(ctx context.Context) error {
	if err := l.free(); err != nil {
		return err
	}
	if n := l.stage.ring.Stats().Pending; n >= waiting {
		return fmt.Errorf("%w: %d keys wait for their time already", page.ErrNotNow, n)
	}
	return l.stage.rotate(ctx)
}

// RevokeKey implements page.Controls.
func (l *Live) RevokeKey(ctx context.Context, kid string) error {
	if err := l.free(); err != nil {
		return err
	}
	set := l.stage.ring.Set()
	if set.Revoked([]byte(kid)) {
		return fmt.Errorf("%w: the key is revoked already", page.ErrNotNow)
	}
	if set.Lookup([]byte(kid)) == nil {
		return fmt.Errorf("%w as the key %q", page.ErrUnknown, kid)
	}
	return l.stage.revoke(ctx, kid)
}

// PauseBroker implements page.Controls.
func (l *Live) PauseBroker(context.Context) error {
	if err := l.free(); err != nil {
		return err
	}
	if l.stage.pauses.Paused() {
		return fmt.Errorf("%w: the broker is paused already", page.ErrNotNow)
	}
	l.stage.pauseBroker(brokerPause)
	return nil
}

// SetStore implements page.Controls.
func (l *Live) SetStore(ctx context.Context, on bool) error {
	if err := l.free(); err != nil {
		return err
	}
	if on == l.stage.storeOn.Load() {
		return nil
	}
	if err := l.stage.setStore(context.WithoutCancel(ctx), on); err != nil {
		return err
	}
	text := "No more bookings through the central store."
	if on {
		text = "From now on the same trips are also booked with sessions in one central store. Kill sessiond-1 to see what hangs on it."
	}
	l.stage.tell(page.Note, "", "%s", text)
	return nil
}

// Show60 implements page.Controls.
func (l *Live) Show60(context.Context) error {
	if err := l.free(); err != nil {
		return err
	}
	l.mu.Lock()
	rolling := l.rolling
	l.mu.Unlock()
	if rolling {
		return fmt.Errorf("%w: a rolling restart is under way", page.ErrNotNow)
	}
	a := l.begin()
	go func() {
		if _, err := l.perform(l.ctx, a); err != nil && l.ctx.Err() == nil {
			l.stage.tell(page.Note, "", "There is no verdict on this show: %v.", err)
		}
	}()
	return nil
}

// Report implements page.Controls.
func (l *Live) Report(context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.report == nil {
		return nil, fmt.Errorf("%w: no show is over yet", page.ErrNotNow)
	}
	return l.report, nil
}

// NewJourney implements page.Controls.
func (l *Live) NewJourney(context.Context) error {
	if !l.ready.Load() {
		return l.free()
	}
	return l.stage.visitor.New()
}

// Step implements page.Controls.
func (l *Live) Step(ctx context.Context, step string, asked url.Values) error {
	if !l.ready.Load() {
		return l.free()
	}
	return l.stage.visitor.Step(ctx, step, asked)
}

// Tamper implements page.Controls.
func (l *Live) Tamper(ctx context.Context) error {
	if !l.ready.Load() {
		return l.free()
	}
	f, err := l.stage.visitor.Tamper(ctx)
	if err == nil {
		l.stage.tell(page.Attack, "tampering", "Sent %d forged waybills of your journey: %d accepted.", f.Tried, len(f.Accepted))
	}
	return err
}

// Replay implements page.Controls.
func (l *Live) Replay(ctx context.Context) error {
	if !l.ready.Load() {
		return l.free()
	}
	n, err := l.stage.visitor.Replay(ctx)
	if err == nil {
		l.stage.tell(page.Attack, "replay", "Paid once more with an old waybill of your journey, which has %d ticket.", n)
	}
	return err
}

// SendAbroad implements page.Controls.
func (l *Live) SendAbroad(ctx context.Context) error {
	if !l.ready.Load() {
		return l.free()
	}
	stayed, err := l.stage.visitor.SendAbroad(ctx)
	if err == nil {
		l.stage.tell(page.Attack, "abroad", "Your journey called a foreign host: the waybill %s.", where(stayed))
	}
	return err
}
