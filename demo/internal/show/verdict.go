package show

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/fulfil"
)

// Verdict is the result of a run.
type Verdict struct {
	OK      bool           `json:"ok"`
	Lines   []page.Line    `json:"lines"`
	Seconds float64        `json:"seconds"` // wall time
	Seed    uint64         `json:"seed"`
	Lanes   []page.Card    `json:"lanes"`
	Steps   driver.Figures `json:"steps"` // of the travellers with waybills
	Hops    []watch.Hop    `json:"hops"`  // of the first journey
}

// Report is the whole of a run, as in report.json.
type Report struct {
	*Verdict
	Written time.Time    `json:"written"`
	Charts  page.Charts  `json:"charts"`
	Events  []page.Event `json:"events"`
}

// ReportFile is the name of a report's file.
const ReportFile = "report.json"

// report returns the report on what happened after since, in seconds after the stage's start.
func (v *Verdict) report(s *stage, since float64) ([]byte, error) {
	events, charts := s.last(maxEvents, maxPoints)
	events = slices.DeleteFunc(events, func(e page.Event) bool { return e.At < since })
	charts.Points = slices.DeleteFunc(charts.Points, func(p page.Point) bool { return p.At < since })
	charts.Marks = slices.DeleteFunc(charts.Marks, func(m page.Mark) bool { return m.At < since })
	data, err := json.MarshalIndent(Report{v, time.Now(), charts, events}, "", "  ")
	return append(data, '\n'), err
}

func (v *Verdict) check(name string, ok bool, format string, args ...any) *page.Line {
	v.Lines = append(v.Lines, page.Line{Name: name, Value: fmt.Sprintf(format, args...), OK: ok})
	return &v.Lines[len(v.Lines)-1]
}

// judge fills in the lines: what happened since the show began. The tickets of a stage whose
// ledgers keep all pages are compared with the pages. Otherwise there may just be none twice.
func (v *Verdict) judge(ctx context.Context, a *act, keepsAll bool, err error) {
	s, now := a.stage, a.stage.cards()
	if err != nil {
		v.check("the show", false, "%v", err)
	}
	booked, failures := now[0].Finished-a.cards[0].Finished, s.failed()
	v.check("journeys", booked > 0 && len(failures) == a.failed, "%d booked, %d failed", booked, len(failures)-a.failed).
		Detail = failures[a.failed:]
	if a.storm.journeys > 0 {
		v.storm(a)
	} else {
		v.check("kills", len(a.kills) > 0, "%d by SIGKILL, and a rolling restart", len(a.kills))
	}
	misrouted := s.driver.Trouble.Misrouted.Load() - a.misrouted
	v.check("misrouted", misrouted == 0, "%d", misrouted)
	if keepsAll {
		err = v.tickets(ctx, s)
	} else {
		var twice int
		if twice, err = s.ticketedTwice(ctx); err == nil {
			v.check("duplicates", twice == 0, "%d journeys with two tickets", twice)
		}
	}
	if err != nil {
		v.check("tickets", false, "%v", err)
	}
	v.attacks(a.probe)
	v.lost(s, a.cards)
}

// attacks judges the outcome of a probe.
func (v *Verdict) attacks(p probe) {
	f := p.forged
	v.check("forged tokens", f.Tried > 0 && len(f.Accepted) == 0, "%d accepted of %d", len(f.Accepted), f.Tried).
		Detail = f.Accepted
	v.check("replayed payment", p.tickets == 1, "%d ticket", p.tickets)
	abroad := "not called"
	if p.done {
		abroad = "the waybill " + where(p.stayed)
	}
	v.check("foreign host", p.stayed, "%s", abroad)
}

// lost closes the verdict with the losses since before. The baseline's losses are shown and not
// judged: it is not on trial.
func (v *Verdict) lost(s *stage, before []page.Card) {
	crashes := s.fleet.Crashes()
	v.check("unexpected exits", len(crashes) == 0, "%d", len(crashes)).Detail = crashes
	now := s.cards()
	for i := 1; i < len(now); i++ {
		if s.lanes()[i].Ledger.Totals().Started > 0 {
			v.check("baseline, "+string(now[i].Lane), true, "lost %d, unavailable for %.1f s",
				now[i].Lost-before[i].Lost, now[i].Unavailable-before[i].Unavailable)
		}
	}
	lost := now[0].Lost - before[0].Lost
	v.check("lost", lost == 0, "%d", lost).Detail = s.ledger.Lost()
	v.OK = len(v.Failed()) == 0
	v.Lanes, v.Steps = now, s.driver.Pace.Total()
}

// cards are the lanes according to their ledgers.
func (s *stage) cards() []page.Card {
	var all []page.Card
	for _, d := range s.lanes() {
		t := d.Ledger.Totals()
		c := page.Card{
			Lane: page.Lane(d.Lane.Name), On: d != s.store || s.storeOn.Load(),
			Live: t.Live, Finished: t.Finished, Lost: t.Lost,
			Failed: int(d.Trouble.Failed.Load()), Retried: int(d.Trouble.Retries.Load()),
		}
		if s.connected.Load() {
			c.Unavailable = d.Unavailable().Seconds()
		}
		all = append(all, c)
	}
	return all
}

// Failed returns the names of the lines that are not as they should be.
func (v *Verdict) Failed() []string {
	var names []string
	for _, l := range v.Lines {
		if !l.OK {
			names = append(names, l.Name)
		}
	}
	return names
}

// tickets compares the stream with the tickets that the travellers have.
func (v *Verdict) tickets(ctx context.Context, s *stage) error {
	issued, duplicates, err := readTickets(ctx, s.js)
	if err != nil {
		return err
	}
	known := s.ledger.Tickets()
	var wrong []string
	for sid, state := range known {
		if diff := differ(issued[sid], state); diff != "" {
			wrong = append(wrong, sid+": "+diff)
		}
	}
	probes := 0
	for sid := range issued {
		if _, own := s.probes.Load(sid); own {
			probes++
		} else if known[sid] == nil {
			wrong = append(wrong, sid+": nobody has this ticket")
		}
	}
	slices.Sort(wrong)
	equal := len(wrong) == 0 && len(known) > 0
	v.check("tickets", equal, "%d in the stream, %d with travellers", len(issued)-probes, len(known)).Detail = wrong
	orders, err := s.js.Stream(ctx, broker.Orders)
	if err != nil {
		return err
	}
	again := int(orders.CachedInfo().State.Msgs) - len(issued)
	v.check("duplicates", duplicates == 0 && again == 0,
		"%d tickets, %d orders, though %d paid twice", duplicates, again, s.driver.Trouble.PaidTwice.Load())
	return nil
}

// readTickets returns the tickets in the stream by journey, and how many are not the first of their
// journey.
func readTickets(ctx context.Context, js jetstream.JetStream) (map[string]fulfil.Ticket, int, error) {
	stream, err := js.Stream(ctx, broker.Tickets)
	if err != nil {
		return nil, 0, err
	}
	state := stream.CachedInfo().State
	tickets := map[string]fulfil.Ticket{}
	duplicates := 0
	for seq := max(1, state.FirstSeq); seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			return nil, 0, err
		}
		var t fulfil.Ticket
		if err := json.Unmarshal(m.Data, &t); err != nil {
			return nil, 0, err
		}
		sid := strings.TrimPrefix(m.Subject, broker.Ticket(""))
		if _, twice := tickets[sid]; twice {
			duplicates++
		}
		tickets[sid] = t
	}
	return tickets, duplicates, nil
}

// ticketedTwice returns how many journeys have more than one ticket.
func (s *stage) ticketedTwice(ctx context.Context) (int, error) {
	issued, err := broker.TicketsBy(ctx, s.js, broker.Ticket("*"))
	maps.DeleteFunc(issued, func(_ string, n uint64) bool { return n == 1 })
	return len(issued), err
}

// differ describes where a ticket and its journey disagree.
func differ(t fulfil.Ticket, state trip.State) string {
	for claim, v := range map[string]any{
		"ticket": t.Number, "flight": t.Flight, "hotel": t.Hotel,
		"total": t.Total, "currency": t.Currency, "paid": t.Receipt,
	} {
		if want, _ := json.Marshal(v); string(want) != string(state[claim]) {
			return fmt.Sprintf("%s is %s on the ticket and %s in the journey", claim, want, state[claim])
		}
	}
	return ""
}
