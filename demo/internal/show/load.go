package show

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// crowd is how many bookings of a lane are under way at most. A machine that keeps up has about half of the crowd; a
// slower one gets fewer bookings, not more and more of them at once.
const crowd = 60

// sampled is which part of the bookings is traced: one in so many.
const sampled = 10

// load is bookings that begin at an even rate, the same in all lanes that are on, whatever becomes of those before.
type load struct {
	*stage
	rate int // bookings a second

	mu       sync.Mutex
	failures []string // of the travellers with waybills
	wg       sync.WaitGroup
}

// run starts bookings until more says that it is enough, and waits for them to end. It is told how many there were.
func (l *load) run(ctx context.Context, more func(n int) bool) {
	places := map[*driver.Driver]chan struct{}{}
	for _, d := range l.lanes() {
		places[d] = make(chan struct{}, crowd)
	}
	tick := time.NewTicker(time.Second / time.Duration(l.rate))
	defer tick.Stop()
	for n := 1; more(n); n++ {
		var due time.Time
		select {
		case due = <-tick.C:
		case <-ctx.Done():
			l.wg.Wait()
			return
		}
		for _, d := range l.lanes() {
			if d == l.store && !l.storeOn.Load() {
				continue
			}
			select {
			case places[d] <- struct{}{}:
			case <-ctx.Done():
				continue
			default:
				if d == l.store {
					continue // a lane that is stuck must not hold up the others
				}
				select {
				case places[d] <- struct{}{}:
				case <-ctx.Done():
					continue
				}
			}
			l.wg.Go(func() {
				defer func() { <-places[d] }()
				l.book(ctx, d, n, due)
			})
		}
	}
	l.wg.Wait()
}

func (l *load) book(ctx context.Context, d *driver.Driver, n int, due time.Time) {
	if d == l.driver && n%sampled == 0 {
		traced, span := tracing.Booking(ctx)
		defer span.End()
		ctx = traced
	}
	_, err := d.Book(ctx, n, due)
	if err == nil || d != l.driver || ctx.Err() != nil || errors.Is(err, driver.ErrEnded) {
		return // what ended a journey before its time is in the ledger
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 100 {
		l.failures = append(l.failures, err.Error())
	}
}

// sample notes the figures of each second until ctx is done.
func (s *stage) sample(ctx context.Context) {
	lost := 0
	for pause(ctx, time.Second) == nil {
		lap := s.driver.Pace.Lap()
		now := s.ledger.Totals().Lost
		s.point(page.Point{
			At: s.at(), Rate: float64(lap.Steps), P50: lap.P50, P99: lap.P99,
			Lost: now, StickyLost: s.sticky.Ledger.Totals().Lost,
		})
		if now > lost {
			s.tell(page.Loss, "journey lost", "%d journeys lost. That must not happen.", now-lost)
		}
		lost = now
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
