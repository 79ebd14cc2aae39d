package show

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// sampled is which part of the bookings is traced: one in so many.
const sampled = 10

// book starts bookings in all lanes that are on until more says that it is enough, and waits for
// them to end.
func (s *stage) book(ctx context.Context, rate int, more func(n int) bool) {
	crowd := driver.Crowd{Rate: float64(rate), Traced: sampled, Over: func(d *driver.Driver, err error) {
		if err == nil || d != s.driver || ctx.Err() != nil || errors.Is(err, driver.ErrEnded) {
			return // a journey that ended before its time is in the ledger
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failures = append(s.failures, err.Error())
	}}
	crowd.Run(ctx, s.lanesOn, more)
}

// failed returns why bookings with waybills failed.
func (s *stage) failed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.failures)
}

// sample notes the figures of each second until ctx is done.
func (s *stage) sample(ctx context.Context) {
	lost := 0
	for wait.For(ctx, time.Second) == nil {
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
