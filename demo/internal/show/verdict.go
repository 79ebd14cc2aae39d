package show

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/fulfil"
)

// Verdict is what a run came to.
type Verdict struct {
	OK      bool             `json:"ok"`
	Lines   []Line           `json:"lines"`
	Seconds float64          `json:"seconds"` // wall time
	Seed    uint64           `json:"seed"`
	Memory  map[string]int64 `json:"memory"` // bytes by role at its peak; their sum at its peak under "total". See [fleet.Fleet.Memory]
	Lanes   []page.Card      `json:"lanes"`
	Steps   driver.Figures   `json:"steps"` // of the travellers with waybills
	Hops    []Row            `json:"hops"`  // of the first journey
	Trace   []tracing.Span   `json:"trace,omitempty"`
}

// Line is one thing that was checked.
type Line struct {
	Name   string   `json:"name"`
	Value  string   `json:"value"`
	OK     bool     `json:"ok"`
	Detail []string `json:"detail,omitempty"`
}

func (v *Verdict) check(name string, ok bool, format string, args ...any) *Line {
	v.Lines = append(v.Lines, Line{Name: name, Value: fmt.Sprintf(format, args...), OK: ok})
	return &v.Lines[len(v.Lines)-1]
}

// judge fills in the lines. Failures are what ended single bookings.
func (v *Verdict) judge(ctx context.Context, s *script, o Options, failures []string) error {
	journeys := o.Journeys
	t, trouble := s.ledger.Totals(), &s.driver.Trouble
	all := t.Finished == t.Started && t.Finished >= journeys
	v.check("journeys", all, "%d booked of %d started", t.Finished, t.Started).Detail = failures
	v.check("steps acknowledged", t.Steps >= 6*journeys, "%d", t.Steps)
	v.kills(s, killsOf(journeys))
	v.check("calls interrupted", trouble.Cut.Load() > 0, "%d, seen by their callers", trouble.Cut.Load())
	v.check("retries", trouble.Retries.Load() > 0, "%d", trouble.Retries.Load())
	share := 100 * t.Elsewhere / max(1, t.Moves)
	v.check("next step on another gateway", share >= 50, "%d %% (50 %% at least)", share)
	// Two claims by the calls for a flight, three by those for a hotel.
	v.check("claims changed by parallel calls", t.Parallel == 5*t.Finished, "%d of %d merged", t.Parallel, 5*t.Finished)
	v.check("misrouted", trouble.Misrouted.Load() == 0, "%d", trouble.Misrouted.Load())
	if err := v.tickets(ctx, s.stage); err != nil {
		return err
	}
	v.swaps(s.swaps())
	v.attacks(s.probe)
	v.lost(s.stage)
	return nil
}

// judgeMinute fills in the lines after the 60-second show.
func (v *Verdict) judgeMinute(ctx context.Context, s *stage, a *act, failures []string) error {
	t := s.ledger.Totals()
	v.check("journeys", t.Finished == t.Started && t.Finished > 0, "%d booked of %d started", t.Finished, t.Started).
		Detail = failures
	v.check("steps acknowledged", t.Steps >= 6*t.Finished && t.Steps > 0, "%d", t.Steps)
	v.check("kills", a.kills > 0, "%d by SIGKILL, and a rolling restart", a.kills)
	v.check("misrouted", s.driver.Trouble.Misrouted.Load() == 0, "%d", s.driver.Trouble.Misrouted.Load())
	if err := v.tickets(ctx, s); err != nil {
		return err
	}
	v.attacks(a.probe)
	v.lost(s)
	return nil
}

// attacks judges what became of a probe.
func (v *Verdict) attacks(p probe) {
	f := p.forged
	v.check("forged tokens", f.Tried > 0 && len(f.Accepted) == 0, "%d accepted of %d", len(f.Accepted), f.Tried).Detail = f.Accepted
	v.check("replayed payment", p.tickets == 1, "%d ticket", p.tickets)
	abroad := "not called"
	if p.done {
		abroad = "the waybill " + where(p.stayed)
	}
	v.check("foreign host", p.stayed, "%s", abroad)
}

// lost closes the verdict. What the baseline lost is said and not judged: it is not on trial.
func (v *Verdict) lost(s *stage) {
	crashes := s.fleet.Crashes()
	v.check("unasked exits", len(crashes) == 0, "%d", len(crashes)).Detail = crashes
	for _, d := range []*driver.Driver{s.sticky, s.store} {
		t := d.Ledger.Totals()
		if t.Started > 0 {
			v.check("beside it, "+d.Lane.Name, true, "lost %d of %d, unavailable for %.1f s", t.Lost, t.Started, d.Unavailable().Seconds())
		}
	}
	lost := s.ledger.Lost()
	v.check("lost", len(lost) == 0, "%d", len(lost)).Detail = lost
	v.OK = len(v.Failed()) == 0
}

// cards are the lanes as their ledgers have them.
func cards(s *stage) []page.Card {
	var all []page.Card
	for _, d := range s.lanes() {
		t := d.Ledger.Totals()
		all = append(all, page.Card{
			Lane: page.Lane(d.Lane.Name), On: d != s.store || s.storeOn.Load(), Live: t.Live, Finished: t.Finished, Lost: t.Lost,
			Failed: int(d.Trouble.Failed.Load()), Retried: int(d.Trouble.Retries.Load()), Unavailable: d.Unavailable().Seconds(),
		})
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

func (v *Verdict) kills(s *script, want int) {
	times := map[string]int{}
	cut := 0
	var detail []string
	for _, k := range s.kills {
		role, _, _ := strings.Cut(k.replica, "-")
		times[role]++
		cut += k.cut
	}
	for _, role := range Roles {
		detail = append(detail, fmt.Sprintf("%s ×%d", role, times[role]))
	}
	v.check("kills", len(s.kills) >= want && len(times) == len(Roles),
		"%d by SIGKILL (%s), with %d requests and messages in hand", len(s.kills), strings.Join(detail, ", "), cut)
}

// swaps checks that tokens were opened under the old key and the new after each change. It tells of the first ones.
func (v *Verdict) swaps(all []ledger.Swap) {
	var unproven []string
	for i, swap := range all {
		proven := swap.UnderOld > 0 && swap.UnderNew > 0
		told := fmt.Sprintf("after %s of %s took over: opened %d under it, %d still under %s",
			swap.New, swap.By, swap.UnderNew, swap.UnderOld, swap.Old)
		if i < Swaps {
			v.check(fmt.Sprintf("key swap %d", i+1), proven, "%s", told)
		}
		if !proven {
			unproven = append(unproven, told)
		}
	}
	v.check("key swaps", len(all) >= Swaps && len(unproven) == 0, "%d, by the services among themselves", len(all)).
		Detail = unproven
}

// tickets compares the stream with what the travellers hold.
func (v *Verdict) tickets(ctx context.Context, s *stage) error {
	issued, duplicates, err := readTickets(ctx, s.js)
	if err != nil {
		return err
	}
	held := s.ledger.Tickets()
	var wrong []string
	for sid, state := range held {
		if diff := differ(issued[sid], state); diff != "" {
			wrong = append(wrong, sid+": "+diff)
		}
	}
	for sid := range issued {
		if held[sid] == nil && !s.own(sid) {
			wrong = append(wrong, sid+": nobody holds this ticket")
		}
	}
	slices.Sort(wrong)
	equal := len(wrong) == 0 && len(held) > 0
	v.check("tickets", equal, "%d in the stream, %d held", len(issued)-s.probed(), len(held)).Detail = wrong
	orders, err := s.js.Stream(ctx, broker.Orders)
	if err != nil {
		return err
	}
	info, err := orders.Info(ctx)
	if err != nil {
		return err
	}
	again := int(info.State.Msgs) - len(issued)
	v.check("duplicates", duplicates == 0 && again == 0,
		"%d tickets, %d orders, though %d paid twice", duplicates, again, s.driver.Trouble.PaidTwice.Load())
	return nil
}

// readTickets returns the tickets in the stream by journey, and how many journeys have more than one.
func readTickets(ctx context.Context, js jetstream.JetStream) (map[string]fulfil.Ticket, int, error) {
	stream, err := js.Stream(ctx, broker.Tickets)
	if err != nil {
		return nil, 0, err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, 0, err
	}
	tickets := map[string]fulfil.Ticket{}
	duplicates := 0
	for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ {
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

// differ tells where a ticket is not what its journey was told.
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
