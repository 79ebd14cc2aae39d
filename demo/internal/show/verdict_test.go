package show

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/fulfil"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// TestTickets compares what is in a real stream with what a traveller holds.
func TestTickets(t *testing.T) {
	good := fulfil.Ticket{Number: "N1", Flight: "AMS-1", Hotel: "Grand", Total: 5, Currency: "USD", Receipt: "r"}
	held := map[string]any{
		"ticket": "N1", "flight": "AMS-1", "hotel": "Grand", "total": 5, "currency": "USD", "paid": "r",
	}
	other := good
	other.Total = 6
	for _, c := range []struct {
		name   string
		issued map[string][]fulfil.Ticket // by journey
		orders int
		want   []string // lines that fail
	}{
		{"as held", map[string][]fulfil.Ticket{"j": {good}}, 1, nil},
		{"none", nil, 0, []string{"tickets"}},
		{"of another trip", map[string][]fulfil.Ticket{"j": {other}}, 1, []string{"tickets"}},
		{"one that nobody holds", map[string][]fulfil.Ticket{"j": {good}, "k": {good}}, 2, []string{"tickets"}},
		{"twice", map[string][]fulfil.Ticket{"j": {good, good}}, 1, []string{"duplicates"}},
		{"ordered twice", map[string][]fulfil.Ticket{"j": {good}}, 2, []string{"duplicates"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stage{ledger: &ledger.Ledger{}, driver: &driver.Driver{}, js: brokertest.JetStream(t)}
			page := s.ledger.Begin()
			page.Acknowledge(gateway.Ticket, nil, ledger.Sent{}, gateway.Answer{Journey: "j", State: claims(t, held)})
			for sid, tickets := range c.issued {
				for _, ticket := range tickets {
					publish(t, s.js, broker.Ticket(sid), ticket)
				}
			}
			for range c.orders {
				publish(t, s.js, broker.Placed, nil)
			}
			v := &Verdict{}
			if err := v.tickets(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if got := v.Failed(); !slices.Equal(got, c.want) {
				t.Errorf("failed lines: got %q, want %q; %+v", got, c.want, v.Lines)
			}
		})
	}
}

func publish(t *testing.T, js jetstream.JetStream, subject string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject, data); err != nil {
		t.Fatal(err)
	}
}

func claims(t *testing.T, values map[string]any) trip.State {
	t.Helper()
	state := trip.State{}
	for name, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		state[name] = raw
	}
	return state
}

// TestJudgeOfNothing checks that a run in which nothing happened, or only a misrouted call, does not pass.
func TestJudgeOfNothing(t *testing.T) {
	s := newStage(plan{})
	s.fleet, s.js = &fleet.Fleet{}, brokertest.JetStream(t)
	a := newAct(s, 1)
	a.storm.journeys = 1
	s.driver.Trouble.Misrouted.Add(1)
	v := &Verdict{}
	v.judge(t.Context(), a, true, nil)
	a.storm.until = time.Now()
	s.ledger.Swapped(keys.Swap{})
	s.ledger.Swapped(keys.Swap{Active: time.Now().Add(time.Hour)}) // not yet
	v.judge(t.Context(), a, true, nil)
	a.storm.journeys = 0
	v.judge(t.Context(), a, false, errors.New("the show failed"))
	failed := v.Failed()
	for _, want := range []string{
		"journeys", "all booked", "steps acknowledged", "kills", "retries", "next step on another gateway",
		"misrouted", "tickets", "key swap 1", "key swaps", "forged tokens", "replayed payment", "foreign host", "the show",
	} {
		if !slices.Contains(failed, want) {
			t.Errorf("line %q passes, want it to fail", want)
		}
	}
	if v.OK {
		t.Error("the verdict is ok")
	}
}

// TestKills checks that too few kills, and a service that was spared, are noticed.
func TestKills(t *testing.T) {
	var all []kill
	for _, role := range Roles {
		all = append(all, kill{role + "-1", 1})
	}
	for _, c := range []struct {
		name  string
		kills []kill
		ok    bool
	}{
		{"one of each", all, true},
		{"too few", all[:5], false},
		{"one service spared", append(slices.Clone(all[:5]), all[0]), false},
	} {
		v := &Verdict{}
		v.kills(c.kills, len(Roles))
		if got := v.Lines[0]; got.OK != c.ok {
			t.Errorf("%s: got ok %v (%s), want %v", c.name, got.OK, got.Value, c.ok)
		}
	}
}
