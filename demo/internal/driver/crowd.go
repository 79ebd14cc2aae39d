package driver

import (
	"context"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// most is how many bookings of a lane are under way at most. A machine that keeps up has about half
// of that; a slower one gets fewer bookings, not more and more of them at once.
const most = 60

// Crowd is bookings that begin at an even rate, the same in all lanes, whatever becomes of those
// before.
type Crowd struct {
	Rate   float64              // bookings a second
	Traced int                  // one booking in so many is traced
	Over   func(*Driver, error) // is told each booking's end, by many goroutines
}

// Run starts bookings until more says that it is enough, and waits for them to end. More is told
// how many there were, and lanes which ones are on.
func (c *Crowd) Run(ctx context.Context, lanes func() []*Driver, more func(n int) bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := map[*Driver]chan struct{}{}
	tick := time.NewTicker(time.Duration(float64(time.Second) / c.Rate))
	defer tick.Stop()
	for n := 1; more(n); n++ {
		var due time.Time
		select {
		case due = <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, d := range lanes() {
			if places[d] == nil {
				places[d] = make(chan struct{}, most)
			}
			if !c.enter(ctx, d, places[d]) {
				continue
			}
			wg.Go(func() {
				defer func() { <-places[d] }()
				c.book(ctx, d, n, due)
			})
		}
	}
}

// enter takes a place, and waits for one. A central store that is down must not hold up the other
// lanes, so a booking of that lane does not wait.
func (c *Crowd) enter(ctx context.Context, d *Driver, places chan<- struct{}) bool {
	if d.Lane.Name == Store.Name && len(places) == cap(places) {
		return false
	}
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Crowd) book(ctx context.Context, d *Driver, n int, due time.Time) {
	if n%c.Traced == 0 {
		traced, span := tracing.Booking(ctx)
		defer span.End()
		ctx = traced
	}
	c.Over(d, d.Book(ctx, n, due))
}
