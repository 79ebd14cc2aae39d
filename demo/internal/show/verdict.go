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
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/fulfil"
)

// Verdict is what a run came to.
type Verdict struct {
	OK      bool             `json:"ok"`
	Lines   []Line           `json:"lines"`
	Seconds float64          `json:"seconds"` // wall time
	Memory  map[string]int64 `json:"memory"`  // resident bytes by role at its peak; their sum at its peak under "total"
	Hops    []Row            `json:"hops"`    // of the first journey
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
func (v *Verdict) judge(ctx context.Context, s *script, journeys int, failures []string) error {
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
	crashes := s.fleet.Crashes()
	v.check("unasked exits", len(crashes) == 0, "%d", len(crashes)).Detail = crashes
	lost := s.ledger.Lost()
	v.check("lost", len(lost) == 0, "%d", len(lost)).Detail = lost
	v.OK = len(v.Failed()) == 0
	return nil
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
		if held[sid] == nil {
			wrong = append(wrong, sid+": nobody holds this ticket")
		}
	}
	slices.Sort(wrong)
	equal := len(wrong) == 0 && len(held) > 0
	v.check("tickets", equal, "%d in the stream, %d held", len(issued), len(held)).Detail = wrong
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

// measure keeps the peaks of the memory in use until ctx is done.
func measure(ctx context.Context, s *stage) map[string]int64 {
	peak := map[string]int64{}
	for {
		now := s.fleet.Memory()
		var total int64
		for _, n := range now {
			total += n
		}
		if total > 0 {
			now["total"] = total
		}
		for role, n := range now {
			peak[role] = max(peak[role], n)
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return maps.Clone(peak)
		}
	}
}
