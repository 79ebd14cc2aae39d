package visitor

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
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
	return driver.Reply{Status: 200, Answer: gateway.Answer{Journey: journey, State: s}}
}

// TestTake checks what the visitor is told of a step.
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
	}{
		{"a claim", journey{id: "j"}, "hotel", reply("j", state("hotel", `"Grand"`)), nil, true, "Now hotel is Grand."},
		{"nothing new", journey{id: "j", state: paid}, "currency", reply("j", paid), nil, true, "everything is as it was"},
		{"paid", journey{id: "j"}, "pay", reply("j", paid), nil, true, "The receipt is r1"},
		{"paid again", journey{id: "j", state: paid}, "pay", reply("j", paid), nil, true, "the same receipt, r1, and no second order"},
		{"revoked", journey{id: "j"}, "pay", driver.Reply{Status: 401, Refusal: "revoked"}, nil, false, "401: revoked. Search"},
		{"not yet", journey{id: "j"}, "pay", driver.Reply{Status: 409, Answer: gateway.Answer{Error: "there is no hotel"}}, nil, false, "there is no hotel"},
		{"nobody there", journey{id: "j"}, "pay", driver.Reply{}, errors.New("refused"), false, "nothing is lost: try again"},
	} {
		j := c.before
		ok, text := j.take(c.step, c.reply, c.err)
		if ok != c.ok || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %v, %q; want %v, %q", c.name, ok, text, c.ok, c.text)
		}
	}
}

// TestTokens checks that a request with the header is of a script, whatever cookies it has.
func TestTokens(t *testing.T) {
	for _, c := range []struct {
		header, cookie string
		want           string
		byCookie       bool
	}{
		{"", "", "", true},
		{"", "theme=dark; wb-aaaaaaaa=a; wb-bbbbbbbb=b", "a b", true},
		{"-", "wb-aaaaaaaa=a", "", false},
		{"-c, d", "wb-aaaaaaaa=a", "c d", false},
	} {
		r := &http.Request{Header: http.Header{"Cookie": {c.cookie}}}
		if value, ok := strings.CutPrefix(c.header, "-"); ok {
			r.Header.Set(waybill.Header, value)
		}
		tokens, byCookie := Tokens(r)
		if got := strings.Join(tokens, " "); got != c.want || byCookie != c.byCookie {
			t.Errorf("%+v: got %q, by cookie %v", c, got, byCookie)
		}
	}
}
