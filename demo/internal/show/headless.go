package show

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// Options are what the flags say.
type Options struct {
	Seed     uint64
	Journeys int    // at least
	Minute   bool   // the 60-second show, instead of kills without a pause
	Store    bool   // also book through a central store
	Report   string // directory for the report; empty for none
}

// rate is how many bookings begin in a second.
const rate = 20

// Headless runs a show without a page and returns the verdict. It tells its progress to w.
func Headless(ctx context.Context, o Options, w io.Writer) (*Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute+time.Duration(o.Journeys)*time.Second/rate)
	defer cancel()
	p := plan{seed: o.Seed, rate: rate, think: 250 * time.Millisecond, period: hectic}
	if o.Minute {
		p.period = calm
	}
	l := newLive(ctx, p)
	s := l.stage
	defer s.close()
	if o.Minute {
		s.echo = func(e page.Event) { fmt.Fprintf(w, "  %5.1f s  %s\n", e.At, e.Text) }
	}
	if err := s.open(ctx, p); err != nil {
		return nil, err
	}
	if o.Store {
		if err := s.setStore(ctx, true); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(w, "%d services and a NATS server, ready after %.1f s\n", len(s.fleet.Names("")), s.at())
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	go s.sample(measuring)

	a, err := l.begin()
	if err != nil {
		return nil, err
	}
	hops, err := s.walk(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "\nOne journey, hop by hop:\n\n")
	printHops(w, hops)
	play := a.play
	if o.Minute {
		fmt.Fprintf(w, "\nNow %d bookings begin in each second, and for a minute this happens to the fleet:\n\n", rate)
	} else {
		fmt.Fprintf(w, "\nNow %d bookings begin in each second, while processes are killed and keys change …\n\n", rate)
		play, a.storm.journeys = a.rage, o.Journeys
	}
	a.began = time.Now() // the journey before it does not take from the minute
	go l.drive(measuring)
	v, err := l.perform(ctx, a, play)
	if err != nil {
		return nil, err
	}
	stop()
	v.Hops, v.Seconds = hops, s.at()
	if o.Report == "" {
		return v, nil
	}
	report, err := v.report(s, 0)
	if err != nil {
		return nil, err
	}
	return v, save(o.Report, report)
}

// save writes a report into a directory, which it makes.
func save(dir string, report []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ReportFile), report, 0o644)
}

// walk books one trip with nothing going wrong, and returns its hops.
func (s *stage) walk(ctx context.Context) ([]watch.Hop, error) {
	booking, span := tracing.Booking(ctx)
	err := s.driver.Book(booking, 0, time.Now())
	span.End()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	hops, err := s.observer.Await(ctx, span.SpanContext().TraceID().String(), func(hops []watch.Hop) bool {
		return slices.ContainsFunc(hops, func(h watch.Hop) bool { return roleOf(h.Replica) == "fulfil" })
	})
	if err != nil {
		return nil, fmt.Errorf("the journey's hops: %w", err)
	}
	return hops, nil
}

func printHops(w io.Writer, hops []watch.Hop) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  STEP\tREPLICA\tVIA\tBYTES\tKEY\tCHANGED")
	last := ""
	for _, h := range hops {
		step := h.Step
		if step == last {
			step = ""
		}
		last = h.Step
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\t%s\n", step, h.Replica, h.Via, h.Bytes, h.KID, strings.Join(h.Changed, " "))
	}
	t.Flush()
}

// Print prints the verdict for people.
func (v *Verdict) Print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range v.Lines {
		mark := "ok"
		if !l.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", mark, l.Name, l.Value)
	}
	t.Flush()
	for _, l := range v.Lines {
		if l.OK {
			continue
		}
		fmt.Fprintf(w, "\nFAIL %s: %s\n", l.Name, l.Value)
		for i, d := range l.Detail {
			if i == 5 {
				fmt.Fprintf(w, "  and %d more\n", len(l.Detail)-i)
				break
			}
			fmt.Fprintf(w, "  %s\n", d)
		}
	}
	fmt.Fprintf(w, "\n%.1f s\n", v.Seconds)
}
