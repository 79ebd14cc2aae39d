package show

import (
	"context"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/keyring"
)

// How much the page shows of what goes on and on.
const (
	shownEvents = 50
	shownPoints = 180
	shownKeys   = 12
)

// snapshot is everything that the page shows.
func (l *Live) snapshot(ctx context.Context) page.Snapshot {
	events, charts := l.stage.last(shownEvents, shownPoints)
	s := page.Snapshot{Uptime: l.stage.at(), Log: events, Charts: charts}
	if !l.ready.Load() {
		s.Verdict = []page.Card{{Lane: page.Waybill, On: true}, {Lane: page.Sticky, On: true}, {Lane: page.Store}}
		s.Journey.Life = 1
		return s
	}
	tally := l.stage.observer.Tally()
	s.Verdict = cards(l.stage)
	s.Journey = l.stage.visitor.Journey(ctx)
	s.Keys = l.keys(tally.Opened)
	s.Fleet = l.fleet(tally, s.Keys)
	s.Show = l.show()
	return s
}

// keys are those of the ring, as the operator sees it.
func (l *Live) keys(opened map[string]int) []page.Key {
	set := l.stage.ring.Set()
	if set == nil {
		return nil
	}
	by := map[string]string{}
	for _, swap := range l.stage.ledger.Swaps() {
		by[swap.New] = swap.By
	}
	now := time.Now()
	var keys []page.Key
	var next *keyring.Key // the one after, which is the one before in the set
	for _, k := range set.Keys() {
		if len(keys) == shownKeys {
			break
		}
		shown := page.Key{KID: k.ID(), By: by[k.ID()], Opened: opened[k.ID()]}
		t := k.Times()
		from, to := t.NotBefore, t.Expires // while it is retired
		switch {
		case set.Revoked([]byte(k.ID())):
			shown.State = page.Revoked
		case t.NotBefore.After(now):
			shown.State, from, to = page.Pending, t.Created, t.NotBefore
		case next == nil:
			shown.State, to = page.Active, t.NotBefore.Add(l.plan.period)
		case next.Times().NotBefore.After(now):
			shown.State, to = page.Active, next.Times().NotBefore
		default:
			shown.State, from = page.Retired, next.Times().NotBefore
		}
		if shown.State != page.Revoked {
			shown.In, shown.Of = max(0, to.Sub(now).Seconds()), to.Sub(from).Seconds()
			next = k
		}
		keys = append(keys, shown)
	}
	for kid := range set.Revocations() {
		if len(keys) < shownKeys && !slices.ContainsFunc(keys, func(k page.Key) bool { return k.KID == kid }) {
			keys = append(keys, page.Key{KID: kid, State: page.Revoked, By: by[kid], Opened: opened[kid]})
		}
	}
	return keys
}
