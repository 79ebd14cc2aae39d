package show

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/page"
)

// Show60 implements page.Controls.
func (l *Live) Show60(context.Context) error {
	if err := l.free(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rolling {
		return fmt.Errorf("%w: a rolling restart is under way", page.ErrNotNow)
	}
	a := newAct(l.stage, l.plan.seed)
	l.act, l.verdict = a, nil
	l.stage.tell(page.Note, "show", "The 60-second show begins.")
	before, since := cards(l.stage), l.stage.at()
	go func() {
		err := a.play(l.ctx)
		if l.ctx.Err() != nil {
			return
		}
		if err != nil {
			a.revive(l.ctx)
		}
		v := l.stage.judgeLive(l.ctx, a, before, err)
		v.Seed, v.Seconds = l.plan.seed, time.Since(a.began).Seconds()
		files, err := v.files(l.stage, since)
		if err != nil {
			l.stage.tell(page.Note, "", "There is no report of this show: %v.", err)
		}
		l.mu.Lock()
		l.verdict, l.report = v, files
		l.mu.Unlock()
		a.say("That was it.")
		l.stage.tell(page.Note, "show over", "The show is over: %d journeys lost; sticky lost %d.",
			l.stage.ledger.Totals().Lost-before[0].Lost, l.stage.sticky.Ledger.Totals().Lost-before[1].Lost)
	}()
	return nil
}

// judgeLive judges the show on a stage on which somebody may have played before: it looks at what came since then.
func (s *stage) judgeLive(ctx context.Context, a *act, before []page.Card, failed error) *Verdict {
	v := &Verdict{}
	now := cards(s)
	if failed != nil {
		v.check("the show", false, "%v", failed)
	}
	v.check("journeys", now[0].Finished > before[0].Finished, "%d booked", now[0].Finished-before[0].Finished)
	v.check("kills", a.kills > 0, "%d by SIGKILL, and a rolling restart", a.kills)
	twice, err := s.ticketedTwice(ctx)
	v.check("duplicates", err == nil && twice == 0, "%d journeys with two tickets", twice)
	v.attacks(a.probe)
	for i, name := range []string{"sticky", "store"} {
		if now[i+1].On {
			v.check("beside it, "+name, true, "lost %d, unavailable for %.1f s",
				now[i+1].Lost-before[i+1].Lost, now[i+1].Unavailable-before[i+1].Unavailable)
		}
	}
	v.check("lost", now[0].Lost == before[0].Lost, "%d", now[0].Lost-before[0].Lost)
	v.OK = len(v.Failed()) == 0
	v.Lanes, v.Steps, v.Memory = now, s.driver.Pace.Total(), s.weigh()
	return v
}

// ticketedTwice returns how many journeys have more than one ticket.
func (s *stage) ticketedTwice(ctx context.Context) (int, error) {
	stream, err := s.js.Stream(ctx, broker.Tickets)
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(broker.Ticket("*")))
	if err != nil {
		return 0, err
	}
	twice := 0
	for _, n := range info.State.Subjects {
		if n > 1 {
			twice++
		}
	}
	return twice, nil
}

// Report implements page.Controls.
func (l *Live) Report(_ context.Context, file string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.report == nil {
		return nil, fmt.Errorf("%w: no show is over yet", page.ErrNotNow)
	}
	data, ok := l.report[file]
	if !ok {
		return nil, fmt.Errorf("%w as the file %q; there are %s", page.ErrUnknown, file,
			strings.Join(slices.Sorted(maps.Keys(l.report)), ", "))
	}
	return data, nil
}

// playing reports whether a show runs.
func (l *Live) playing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.act != nil && l.verdict == nil
}

// draining reports whether a show wants no new bookings.
func (l *Live) draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.act != nil && l.verdict == nil && l.act.draining.Load()
}

// show is how far it is, for the page.
func (l *Live) show() *page.Show {
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
		s.OK = l.verdict.OK
		for _, line := range l.verdict.Lines {
			s.Verdict = append(s.Verdict, page.Line{Name: line.Name, Value: line.Value, OK: line.OK})
		}
	}
	return s
}
