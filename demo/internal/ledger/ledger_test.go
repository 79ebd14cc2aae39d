package ledger_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

func state(t *testing.T, text string) trip.State {
	t.Helper()
	var s trip.State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLost plays the first steps of a booking, and then one answer that may lack something.
func TestLost(t *testing.T) {
	search := state(t, `{"step":"search","cell":"eu","to":"AMS","stamps":["a"]}`)
	flight := state(t, `{"step":"flight","cell":"eu","to":"AMS","stamps":["a","b"],"flight":"AMS-1","total":5}`)
	hotel := state(t, `{"step":"hotel","cell":"eu","to":"AMS","stamps":["a","b"],"flight":"AMS-1","total":9,
		"hotel":"Grand","fee":1}`)
	with := func(claim, value string) trip.State {
		s := maps.Clone(hotel)
		if s[claim] = json.RawMessage(value); value == "" {
			delete(s, claim)
		}
		return s
	}
	for _, c := range []struct {
		name    string
		journey string
		state   trip.State
		lost    string // part of what the ledger says; empty if nothing was lost
	}{
		{"all there", "j", hotel, ""},
		{"a claim of an earlier step is gone", "j", with("flight", ""), "lacks flight"},
		{"a claim of an earlier step is older", "j", with("flight", `"AMS-0"`), "acknowledged was"},
		{"the step's own claim is missing", "j", with("fee", ""), "acknowledged without its fee"},
		{"the step's own claim is not what was asked for", "j", with("hotel", `"Plaza"`), `want "Grand"`},
		{"a stamp is gone", "j", with("stamps", `["b"]`), "lacks the stamp of a"},
		{"a stamp came", "j", with("stamps", `["a","b","c"]`), ""},
		{"a new journey", "k", hotel, "another journey"},
		{"no claims at all", "j", nil, "lacks cell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &ledger.Ledger{}
			page := l.Begin()
			page.Acknowledge(gateway.Search, nil, ledger.Sent{}, gateway.Answer{Journey: "j", State: search})
			page.Acknowledge(gateway.Flight, nil, ledger.Sent{}, gateway.Answer{Journey: "j", State: flight})
			if lost := l.Lost(); len(lost) > 0 {
				t.Fatalf("lost already: %q", lost)
			}
			page.Acknowledge(gateway.Hotel, map[string]string{"hotel": "Grand"}, ledger.Sent{},
				gateway.Answer{Journey: c.journey, State: c.state})
			lost := strings.Join(l.Lost(), "\n")
			if (lost == "") != (c.lost == "") || !strings.Contains(lost, c.lost) {
				t.Errorf("lost: got %q, want %q in it", lost, c.lost)
			}
		})
	}
}

// TestPending checks that an answer that says nothing but "not yet" is compared too.
func TestPending(t *testing.T) {
	l := &ledger.Ledger{}
	page := l.Begin()
	page.Acknowledge(gateway.Search, nil, ledger.Sent{},
		gateway.Answer{Journey: "j", State: state(t, `{"cell":"eu","to":"AMS"}`)})
	page.Pending(gateway.Ticket, gateway.Answer{Journey: "j", State: state(t, `{"cell":"eu"}`)})
	if lost := l.Lost(); len(lost) != 1 {
		t.Errorf("lost: got %q, want one journey", lost)
	}
}

func TestTotals(t *testing.T) {
	l := &ledger.Ledger{}
	page := l.Begin()
	for _, a := range []struct{ step, gateway, state string }{
		{gateway.Search, "gateway-1", `{"cell":"eu","to":"AMS"}`},
		{gateway.Flight, "gateway-2", `{"cell":"eu","to":"AMS","flight":"AMS-1","total":5}`},
		{gateway.Hotel, "gateway-2", `{"cell":"eu","to":"AMS","flight":"AMS-1","total":5,"hotel":"Grand","fee":1}`},
	} {
		page.Acknowledge(a.step, nil, ledger.Sent{},
			gateway.Answer{Gateway: a.gateway, Journey: "j", State: state(t, a.state)})
	}
	page.Finish()
	page.Close()
	// The total of the last answer is that of the one before: its parallel call was not merged.
	want := ledger.Totals{Started: 1, Finished: 1, Steps: 3, Moves: 2, Elsewhere: 1, Parallel: 4}
	if got := l.Totals(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSwaps(t *testing.T) {
	l := &ledger.Ledger{}
	active := time.Now()
	l.Swapped(keys.Swap{Old: "old", New: "new", Active: active})
	page := l.Begin()
	for _, sent := range []ledger.Sent{
		{KID: "old", At: active.Add(-time.Second)}, // before the swap: proves nothing
		{KID: "new", At: active.Add(-time.Second)},
		{KID: "old", At: active},
		{KID: "new", At: active.Add(time.Second)},
		{KID: "new", At: active.Add(time.Second)},
		{KID: "", At: active.Add(time.Second)},
	} {
		page.Acknowledge(gateway.Search, nil, sent, gateway.Answer{Journey: "j"})
	}
	if s := l.Swaps()[0]; s.UnderOld != 1 || s.UnderNew != 2 {
		t.Errorf("opened under the old key: got %d, want 1; under the new: got %d, want 2", s.UnderOld, s.UnderNew)
	}
}
