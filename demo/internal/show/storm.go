package show

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// How quickly the keys follow each other: as quickly as they can, or so that one can watch.
const (
	hectic = 4 * time.Second
	calm   = 30 * time.Second
)

// swapsWanted is how many changes of the issuing key a storm waits for, at least.
const swapsWanted = 2

// gap is the time between two kills: long enough for the travellers to be everywhere again.
const gap = 500 * time.Millisecond

// storm is the show without a page: kills without a pause, while the services rotate their keys.
type storm struct {
	journeys int // at least; 0 for a show that is no storm

	// A change of keys counts between these times: there are travellers everywhere when it comes,
	// and for a while after it.
	from, until time.Time
}

// killsOf is how many kills go with so many journeys: two rounds over all services with the usual
// 300, at least one.
func killsOf(journeys int) int { return max(len(Roles), 2*len(Roles)*journeys/300) }

// rage returns when it has killed often enough, the services have changed their keys often enough,
// and there are enough journeys.
func (a *act) rage(ctx context.Context) error {
	a.storm.from = time.Now().Add(2 * gap)
	var victims []string
	n := killsOf(a.storm.journeys)
	for len(victims) < n {
		round := slices.Clone(Roles)
		a.rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
		victims = append(victims, round...)
	}
	for _, role := range victims[:n] {
		if err := wait.For(ctx, gap); err != nil {
			return err
		}
		if err := a.interrupt(ctx, role); err != nil {
			return err
		}
	}
	if err := a.probe.run(ctx, a.stage); err != nil {
		return err
	}
	late := time.Now().Add((swapsWanted + 2) * hectic) // the verdict says whether there were enough until then
	for {
		a.storm.until = time.Now().Add(-2 * gap)
		enough := len(a.storm.swaps(a.ledger)) >= swapsWanted || time.Now().After(late)
		if enough && a.ledger.Totals().Started >= a.storm.journeys {
			return nil
		}
		if err := wait.For(ctx, gap/5); err != nil {
			return err
		}
	}
}

// interrupt kills a replica of a role while it is handling something, and starts it again where it
// was. A kill that came just too late to interrupt anything does not count.
func (a *act) interrupt(ctx context.Context, role string) error {
	for {
		name, err := a.busy(ctx, a.rng, role)
		if err != nil {
			return err
		}
		cut, err := a.strike(ctx, name, name+" killed")
		if err != nil {
			return err
		}
		if err := a.restart(ctx, name); err != nil {
			return err
		}
		if cut > 0 {
			return nil
		}
		a.kills = a.kills[:len(a.kills)-1]
	}
}

// swaps returns the changes of keys that count.
func (s storm) swaps(l *ledger.Ledger) []ledger.Swap {
	return slices.DeleteFunc(l.Swaps(), func(swap ledger.Swap) bool {
		return swap.Active.Before(s.from) || swap.Active.After(s.until)
	})
}

// storm judges what a storm proves beyond what every show does.
func (v *Verdict) storm(a *act) {
	t, journeys := a.ledger.Totals(), a.storm.journeys
	v.check("all booked", t.Finished == t.Started && t.Finished >= journeys, "%d of %d started", t.Finished, t.Started)
	v.check("steps acknowledged", t.Steps >= 6*journeys, "%d", t.Steps)
	v.kills(a.kills, killsOf(journeys))
	retries := a.driver.Trouble.Retries.Load()
	v.check("retries", retries > 0, "%d", retries)
	share := 100 * t.Elsewhere / max(1, t.Moves)
	v.check("next step on another gateway", share >= 50, "%d %% (50 %% at least)", share)
	// Two claims by the calls for a flight, three by those for a hotel.
	v.check("claims changed by parallel calls", t.Parallel == 5*t.Finished, "%d of %d merged", t.Parallel, 5*t.Finished)
	v.swaps(a.storm.swaps(a.ledger))
}

// kills checks that there were enough kills, and that no service was spared.
func (v *Verdict) kills(kills []kill, want int) {
	times := map[string]int{}
	cut := 0
	var detail []string
	for _, k := range kills {
		times[roleOf(k.replica)]++
		cut += k.cut
	}
	for _, role := range Roles {
		detail = append(detail, fmt.Sprintf("%s ×%d", role, times[role]))
	}
	v.check("kills", len(kills) >= want && len(times) == len(Roles),
		"%d by SIGKILL (%s), with %d requests and messages in hand", len(kills), strings.Join(detail, ", "), cut)
}

// swaps checks that tokens were opened under the old key and the new after each change.
func (v *Verdict) swaps(all []ledger.Swap) {
	var unproven []string
	for i, swap := range all {
		proven := swap.UnderOld > 0 && swap.UnderNew > 0
		told := fmt.Sprintf("after %s of %s took over: opened %d under it, %d still under %s",
			swap.New, swap.By, swap.UnderNew, swap.UnderOld, swap.Old)
		if i < swapsWanted {
			v.check(fmt.Sprintf("key swap %d", i+1), proven, "%s", told)
		}
		if !proven {
			unproven = append(unproven, told)
		}
	}
	v.check("key swaps", len(all) >= swapsWanted && len(unproven) == 0, "%d, by the services among themselves", len(all)).
		Detail = unproven
}
