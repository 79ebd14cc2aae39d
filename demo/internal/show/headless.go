package show

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// Options are what the flags say.
type Options struct {
	Seed     uint64
	Journeys int  // at least
	Trace    bool // print the trace of one booking
	Sabotage driver.Sabotage
}

// rate is how many bookings begin in a second, and crowd how many are under way at most. A machine that keeps up has
// about half of the crowd; a slower one gets fewer bookings, not more and more of them at once.
const (
	rate  = 20
	crowd = 60
)

// Headless runs the whole show and returns the verdict. It tells its progress to w.
func Headless(ctx context.Context, o Options, w io.Writer) (*Verdict, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(o.Journeys)*time.Second/rate)
	defer cancel()
	d := &driver.Driver{Seed: o.Seed, Think: 250 * time.Millisecond, Sabotage: o.Sabotage}
	stage, err := open(ctx, "", d)
	defer stage.close()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%d services and a NATS server, ready after %.1f s\n",
		len(stage.fleet.Names("")), time.Since(began).Seconds())

	measuring, stop := context.WithCancel(ctx)
	defer stop()
	memory := make(chan map[string]int64, 1)
	go func() { memory <- measure(measuring, stage) }()

	v := &Verdict{}
	if err := v.walk(ctx, stage, o.Trace, w); err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "\nNow %d bookings begin in each second, while processes are killed and keys change …\n\n", rate)
	s := &script{stage: stage, rng: rand.New(rand.NewPCG(o.Seed, 0))}
	failures, err := s.storm(ctx, o.Journeys)
	if err != nil {
		return nil, err
	}
	stop()
	v.Memory = <-memory
	if err := v.judge(ctx, s, o.Journeys, failures); err != nil {
		return nil, err
	}
	v.Seconds = time.Since(began).Seconds()
	return v, nil
}

// walk books one trip with nothing going wrong, and shows the way that it went.
func (v *Verdict) walk(ctx context.Context, s *stage, traced bool, w io.Writer) error {
	booking, end := ctx, func() {}
	if traced {
		ctx, span := tracing.Booking(ctx)
		booking, end = ctx, func() { span.End() }
	}
	page, err := s.driver.Book(booking, 0)
	end()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	way, err := s.observer.Journey(ctx, page.ID(), func(hops []watch.Hop) bool {
		return slices.ContainsFunc(hops, func(h watch.Hop) bool { return roleOf(h.Replica) == "fulfil" })
	})
	if err != nil {
		return fmt.Errorf("the journey's hops: %w", err)
	}
	v.Hops = hops(way)
	fmt.Fprintf(w, "\nOne journey, hop by hop:\n\n")
	printHops(w, v.Hops)
	if !traced {
		return nil
	}
	v.Trace = s.spans.Await(ctx, whole)
	fmt.Fprintf(w, "\nIts trace:\n\n")
	printTrace(w, v.Trace)
	if !whole(v.Trace) {
		return errors.New("the trace is broken: a span's parent or a service is missing")
	}
	return nil
}

// whole reports whether a trace has one root, all parents and all services.
func whole(spans []tracing.Span) bool {
	roots := 0
	for _, s := range spans {
		if s.Parent == "" {
			roots++
		}
	}
	for _, role := range Roles {
		if !slices.ContainsFunc(spans, func(s tracing.Span) bool { return roleOf(s.Service) == role }) {
			return false
		}
	}
	return roots == 1 && len(tracing.Orphans(spans)) == 0
}

// storm starts bookings at an even rate until there are enough and the script is over. It returns why bookings failed.
func (s *script) storm(ctx context.Context, journeys int) (failures []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- s.run(ctx, killsOf(journeys)) }()

	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan struct{}, crowd)
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n, running := 1, true; n < journeys || running; n++ {
		select {
		case err := <-over:
			if err != nil {
				cancel()
				wg.Wait()
				return failures, err
			}
			running = false
		case <-ctx.Done():
			wg.Wait()
			return failures, ctx.Err()
		case <-tick.C:
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if _, err := s.driver.Book(ctx, n); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err.Error())
			}
		})
	}
	s.until = time.Now().Add(-2 * gap)
	wg.Wait()
	return failures, ctx.Err()
}
