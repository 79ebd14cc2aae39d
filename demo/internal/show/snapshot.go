package show

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/watch"
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
		s.Verdict = l.stage.cards()
		s.Journey.Life = 1
		return s
	}
	tally := l.stage.observer.Tally()
	s.Verdict = l.stage.cards()
	s.Journey, s.Scripts = l.stage.visitor.Journeys(ctx)
	s.Keys = l.keys(tally.Opened)
	s.Fleet = l.fleet(tally)
	s.Show = l.progress()
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

// progress is how far the show is, for the page.
func (l *Live) progress() *page.Show {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.act == nil {
		return nil
	}
	s := &page.Show{
		Running: l.verdict == nil, Length: minuteLength.Seconds(), Scene: *l.act.scene.Load(),
		Elapsed: min(minuteLength, time.Since(l.act.began)).Seconds(),
	}
	if l.verdict != nil {
		s.OK, s.Verdict = l.verdict.OK, l.verdict.Lines
	}
	return s
}

// rates remembers how much was handled when, to tell how much is handled in a second.
type rates struct {
	at      time.Time
	handled map[string]int
	now     map[string]float64
}

// take looks at the counts about once a second.
func (r *rates) take(handled map[string]int) map[string]float64 {
	since := time.Since(r.at).Seconds()
	if since < 1 {
		return r.now
	}
	now := map[string]float64{}
	for name, n := range handled {
		if !r.at.IsZero() {
			now[name] = float64(n-r.handled[name]) / since
		}
	}
	r.at, r.handled, r.now = time.Now(), maps.Clone(handled), now
	return now
}

// fleet is the replicas in the order in which a request meets them, and what moves between them.
// Only the publisher calls it.
func (l *Live) fleet(tally watch.Tally) page.Fleet {
	s := l.stage
	rate := l.rates.take(tally.Handled)
	f := page.Fleet{Paused: s.pauses.Paused(), Moves: l.moves.take(s.spans.Fresh())}
	for _, role := range slices.Concat(Roles, Baseline) {
		if role == "sessiond" && !s.storeOn.Load() {
			continue
		}
		lane := cmp.Or(map[string]page.Lane{"sticky": page.Sticky, "sessiond": page.Store}[role], page.Waybill)
		for _, name := range s.fleet.Names(role) {
			f.Replicas = append(f.Replicas, page.Replica{
				Name: name, Role: role, Lane: lane, PID: s.fleet.PID(name), State: s.fleet.State(name),
				Rate: rate[name], Keys: tally.Present[name].Keys,
			})
		}
	}
	return f
}
