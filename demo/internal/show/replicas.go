package show

import (
	"maps"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

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

// fleet is the replicas in the order in which a request meets them, and what moves between them. Only the publisher
// calls it.
func (l *Live) fleet(tally watch.Tally, keys []page.Key) page.Fleet {
	s := l.stage
	rate := l.rates.take(tally.Handled)
	if time.Since(l.weighed) > 2*time.Second {
		l.memory, l.weighed = s.fleet.Memory(), time.Now()
	}
	f := page.Fleet{Paused: s.hub.Paused(), Moves: l.moves.take(s.spans.Fresh())}
	for _, m := range l.memory {
		f.Memory += m.Used
	}
	for _, role := range slices.Concat(Roles, Baseline) {
		if role == "sessiond" && !s.storeOn.Load() {
			continue
		}
		for _, name := range s.fleet.Names(role) {
			f.Replicas = append(f.Replicas, page.Replica{
				Name: name, Role: role, Lane: laneOf(role), PID: s.fleet.PID(name), State: l.stateOf(name),
				Rate: rate[name], Keys: known(tally.Present[name].Keys, keys), Memory: l.memory[name].Used,
			})
		}
	}
	return f
}

func (l *Live) stateOf(name string) page.State {
	switch {
	case l.stage.fleet.Up(name):
		return page.Up
	case l.stage.fleet.Starting(name):
		return page.Starting
	}
	return page.Down
}

func laneOf(role string) page.Lane {
	switch role {
	case "sticky":
		return page.Sticky
	case "sessiond":
		return page.Store
	}
	return page.Waybill
}

// known leaves the kids that the page shows.
func known(kids []string, shown []page.Key) []string {
	return slices.DeleteFunc(slices.Clone(kids), func(kid string) bool {
		return !slices.ContainsFunc(shown, func(k page.Key) bool { return k.KID == kid })
	})
}
