package show

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// Options are what the flags say.
type Options struct {
	Seed     uint64
	Journeys int    // at least
	Minute   bool   // the 60-second show, instead of kills without a pause
	Store    bool   // the baseline with a central store, too
	Trace    bool   // print the trace of one booking
	Report   string // directory for the report; empty for none
	Sabotage driver.Sabotage
}

// rate is how many bookings begin in a second.
const rate = 20

// Forge is a sabotage, too: a token that is good passes for a forged one.
const Forge driver.Sabotage = "forge"

// Headless runs the whole show and returns the verdict. It tells its progress to w.
func Headless(ctx context.Context, o Options, w io.Writer) (*Verdict, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute+time.Duration(o.Journeys)*time.Second/rate)
	defer cancel()
	p := plan{seed: o.Seed, think: 250 * time.Millisecond, period: hectic, sabotage: o.Sabotage}
	if o.Minute {
		p.period = calm
	}
	stage := newStage(p)
	err := stage.open(ctx, p)
	defer stage.close()
	if err != nil {
		return nil, err
	}
	if o.Store {
		if err := stage.setStore(ctx, true); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(w, "%d services and a NATS server, ready after %.1f s\n",
		len(stage.fleet.Names("")), time.Since(began).Seconds())

	measuring, stop := context.WithCancel(ctx)
	defer stop()
	go stage.sample(measuring)
	memory := make(chan map[string]int64, 1)
	go func() { memory <- measure(measuring, stage) }()

	v := &Verdict{}
	if err := v.walk(ctx, stage, o.Trace, w); err != nil {
		return nil, err
	}
	if o.Minute {
		err = v.minute(ctx, stage, o.Seed, w)
	} else {
		err = v.storm(ctx, stage, o, w)
	}
	if err != nil {
		return nil, err
	}
	stop()
	v.Memory = <-memory
	v.Seconds = time.Since(began).Seconds()
	v.Seed, v.Lanes = o.Seed, cards(stage)
	v.Steps = stage.driver.Pace.Total()
	if o.Report != "" {
		return v, v.write(o.Report, stage)
	}
	return v, nil
}

// storm kills without a pause, and judges.
func (v *Verdict) storm(ctx context.Context, stage *stage, o Options, w io.Writer) error {
	fmt.Fprintf(w, "\nNow %d bookings begin in each second, while processes are killed and keys change …\n\n", rate)
	s := &script{stage: stage, rng: rand.New(rand.NewPCG(o.Seed, 0))}
	failures, err := s.storm(ctx, o.Journeys)
	if err != nil {
		return err
	}
	return v.judge(ctx, s, o, failures)
}

// minute plays the 60-second show, and judges.
func (v *Verdict) minute(ctx context.Context, stage *stage, seed uint64, w io.Writer) error {
	fmt.Fprintf(w, "\nNow %d bookings begin in each second, and for a minute this happens to the fleet:\n\n", rate)
	stage.echo = func(e page.Event) { fmt.Fprintf(w, "  %5.1f s  %s\n", e.At, e.Text) }
	l := &load{stage: stage, rate: rate}
	over := make(chan error, 1)
	act := newAct(stage, seed)
	go func() { over <- act.play(ctx) }()
	var err error
	played := false
	l.run(ctx, func(int) bool {
		select {
		case err = <-over: // it failed, or the machine was so busy that the last bookings began late
			played = true
			return false
		default:
			return !act.draining.Load()
		}
	})
	if !played {
		err = <-over
	}
	fmt.Fprintln(w)
	if err != nil {
		return err
	}
	return v.judgeMinute(ctx, stage, act, l.failures)
}

// walk books one trip with nothing going wrong, and shows the way that it went.
func (v *Verdict) walk(ctx context.Context, s *stage, traced bool, w io.Writer) error {
	booking, span := tracing.Booking(ctx)
	_, err := s.driver.Book(booking, 0, time.Now())
	span.End()
	if err != nil {
		return err
	}
	id := span.SpanContext().TraceID().String()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	way, err := s.observer.Await(ctx, id, func(hops []watch.Hop) bool {
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
	v.Trace = s.spans.Await(ctx, id, whole)
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
