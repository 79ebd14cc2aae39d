package driver

import (
	"context"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// Crowd begins rate bookings in a second until stop is closed, as long as fewer than most are under way: a fleet that does
// not keep up gets fewer bookings, not more and more of them at once. It returns when those under way are over, or ctx ends.
// It tells each booking's end, from many goroutines.
func (d *Driver) Crowd(ctx context.Context, stop <-chan struct{}, rate float64, most int, over func(error)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, most)
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		var due time.Time
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case due = <-tick.C:
		}
		select {
		case places <- struct{}{}:
		case <-stop:
			return
		}
		wg.Go(func() {
			defer func() { <-places }()
			ctx, span := tracing.Booking(ctx)
			defer span.End()
			_, err := d.Book(ctx, n, due)
			over(err)
		})
	}
}
