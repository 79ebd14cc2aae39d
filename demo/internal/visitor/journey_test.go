package visitor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

func state(claims ...string) trip.State {
	s := trip.State{}
	for i := 0; i < len(claims); i += 2 {
		s[claims[i]] = json.RawMessage(claims[i+1])
	}
	return s
}

func reply(journey string, s trip.State) driver.Reply {
	return driver.Reply{Status: 200, Update: "new", Answer: gateway.Answer{Journey: journey, State: s}}
}

// TestTake checks what the visitor is told of a step, and what the browser keeps of it.
func TestTake(t *testing.T) {
	paid := state("to", `"AMS"`, "paid", `"r1"`)
	for _, c := range []struct {
		name   string
		before journey
		step   string
		reply  driver.Reply
		err    error
		ok     bool
		text   string
		token  string
	}{
		{"a claim", journey{id: "j", token: "old"}, "hotel", reply("j", state("hotel", `"Grand"`)), nil, true, "Now hotel is Grand.", "new"},
		{"nothing new", journey{id: "j", state: paid}, "currency", reply("j", paid), nil, true, "everything is as it was", "new"},
		{"paid", journey{id: "j"}, "pay", reply("j", paid), nil, true, "The receipt is r1", "new"},
		{"paid again", journey{id: "j", state: paid}, "pay", reply("j", paid), nil, true, "the same receipt, r1, and no second order", "new"},
		{"expired", journey{id: "j", state: paid}, "currency", reply("k", state()), nil, true, "had expired, so this is a new journey", "new"},
		{"revoked", journey{id: "j", token: "old"}, "pay", driver.Reply{Status: 401, Refusal: "revoked"}, nil, false, "was revoked", "old"},
		{"not yet", journey{id: "j", token: "old"}, "pay", driver.Reply{Status: 409, Answer: gateway.Answer{Error: "there is no hotel"}}, nil, false, "there is no hotel", "old"},
		{"nobody there", journey{id: "j", token: "old"}, "pay", driver.Reply{}, errors.New("refused"), false, "nothing is lost: try again", "old"},
	} {
		j := c.before
		ok, text := j.take(c.step, c.reply, c.err)
		if ok != c.ok || !strings.Contains(text, c.text) || j.token != c.token {
			t.Errorf("%s: got %v, %q and token %q; want %v, %q, %q", c.name, ok, text, j.token, c.ok, c.text, c.token)
		}
	}
}

// TestOffers checks which step comes next.
func TestOffers(t *testing.T) {
	all := []string{"to", `"AMS"`, "flight", `"AMS-101"`, "hotel", `"Grand"`, "currency", `"USD"`, "paid", `"r"`, "ticket", `"T"`}
	for i, want := range []string{
		"search", "flight, search", "hotel, search, flight", "currency, search, flight, hotel", "pay, search, flight, hotel, currency",
		"ticket, pay", "pay",
	} {
		j := journey{state: state(all[:2*i]...), flights: []string{"AMS-101"}}
		if i >= 5 {
			j.paid = 1
		}
		var got []string
		for _, o := range j.offers() {
			got = append(got, o.Step)
			for _, ask := range o.Asks {
				if len(ask.Options) == 0 || ask.Label == "" {
					t.Errorf("%s asks for %+v, want a label and options", o.Step, ask)
				}
			}
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("after %v: got %s, want %s", all[:2*i], text, want)
		}
	}
}
