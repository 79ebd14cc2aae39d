package natstest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// A waybill is read under any spelling of its header, and refused if there are several values.
func TestSpellings(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	serve(t, nc, "quotes", newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
		cell, _ := Cell.Get(ctx)
		note(t, m.Respond([]byte(cell+strings.Join(spellings(m.Header), " "))))
	}))
	one, two := token(t, auth, Cell.To("eu-3")), token(t, auth, Cell.To("eu-4"))
	for _, c := range []struct {
		name   string
		header nats.Header
		answer string
		reason string
	}{
		{"lower case", nats.Header{"waybill": {one}}, "eu-3", ""},
		{"canonical", nats.Header{"Waybill": {one}}, "eu-3", ""},
		{"upper case", nats.Header{"WAYBILL": {one}}, "eu-3", ""},
		{"with an update", nats.Header{"Waybill": {one}, "waybill-update": {two}}, "eu-3", ""},
		{"other names", nats.Header{"Waybills": {one}, "X-Waybill": {one}}, "", ""},
		{"two spellings", nats.Header{"Waybill": {one}, "waybill": {two}}, "", "ambiguous"},
		{"two spellings of the same", nats.Header{"Waybill": {one}, "WAYBILL": {one}}, "", "ambiguous"},
		{"two values", nats.Header{"Waybill": {one, two}}, "", "ambiguous"},
		{"joined", nats.Header{"Waybill": {one + "," + two}}, "", "malformed"},
		{"empty", nats.Header{"Waybill": {""}}, "", "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := nc.RequestMsg(&nats.Msg{Subject: "quotes", Header: c.header}, patience)
			check(t, err)
			if got := string(m.Data); got != c.answer {
				t.Errorf("answer %q, want %q", got, c.answer)
			}
			if got := m.Header.Get(waybillnats.HeaderReason); got != c.reason {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
		})
	}
}

// refused is a reason for refusal, for the tests of handlers and of streams.
type refused struct {
	name   string
	auth   *waybill.Authority // of the receiver; nil: the ordinary one
	header func(t *testing.T) nats.Header
	code   string
	reason string
}

// refusals returns all reasons, for a receiver that requires the claim Seats.
func refusals(t *testing.T) []refused {
	ordinary := waybilltest.Authority(t, claims)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	future := waybilltest.Authority(t, claims, newClock(time.Hour).option())
	with := func(auth *waybill.Authority, edit func(string) string) func(*testing.T) nats.Header {
		return func(t *testing.T) nats.Header {
			return nats.Header{"Waybill": {edit(token(t, auth, Cell.To("secret-cell"), Seats.To(1)))}}
		}
	}
	as := func(s string) string { return s }
	padded := func(s string) string { return s + "=" }
	long := func(s string) string { return s + strings.Repeat("A", 4000) }
	foreign := func(domain string) *waybill.Authority {
		now := time.Now()
		times := keyring.Times{Created: now, NotBefore: now, Expires: now.Add(24 * time.Hour)}
		key, err := keyring.Generate(keyring.Signed, times)
		check(t, err)
		set, err := keyring.NewSet(domain, key)
		check(t, err)
		auth, err := waybill.New(domain, keyring.NewRing(set), claims)
		check(t, err)
		return auth
	}
	forge := func(s string) string {
		head, rest, _ := strings.Cut(s, ".")
		body, tag, _ := strings.Cut(rest, ".")
		other := "A"
		if tag[0] == 'A' {
			other = "B"
		}
		return head + "." + body + "." + other + tag[1:]
	}
	lacks := func(t *testing.T) nats.Header {
		return nats.Header{"Waybill": {token(t, ordinary, Cell.To("secret-cell"))}}
	}
	two := func(t *testing.T) nats.Header {
		return nats.Header{"Waybill": {token(t, ordinary, Seats.To(1))}, "waybill": {token(t, ordinary, Seats.To(1))}}
	}
	return []refused{
		{"absent", nil, func(*testing.T) nats.Header { return nats.Header{"X": {"1"}} }, "401", "absent"},
		{"expired", nil, with(past, as), "401", "expired"},
		{"of the future", nil, with(future, as), "401", "not_yet_valid"},
		{"forged", nil, with(ordinary, forge), "401", "forged"},
		{"of another protection", nil, with(waybilltest.Authority(t, claims, waybill.Protect(waybill.Sealed)), as), "401", "protection"},
		{"unknown key", nil, with(foreign(waybilltest.Domain), as), "401", "unknown_key"},
		{"of another domain", nil, with(foreign("other"), as), "401", "unknown_key"},
		{"lacks a claim", nil, lacks, "403", "missing_claim"},
		{"malformed", nil, with(ordinary, padded), "400", "malformed"},
		{"two", nil, two, "400", "ambiguous"},
		{"too large", nil, with(ordinary, long), "400", "too_large"},
	}
}

// unloaded returns an Authority whose keys are not loaded yet.
func unloaded(t *testing.T) *waybill.Authority {
	auth, err := waybill.New(waybilltest.Domain, keyring.NewRing(nil), claims)
	check(t, err)
	return auth
}

// The answer to a refused request contains the reason and nothing else.
func TestRefusals(t *testing.T) {
	nc := connect(t, start(t))
	ordinary := waybilltest.Authority(t, claims)
	cases := append(refusals(t), refused{"keys not loaded", unloaded(t), func(t *testing.T) nats.Header {
		return nats.Header{"Waybill": {token(t, ordinary, Seats.To(1))}}
	}, "503", "no_key"})
	opts := []waybillnats.Option{waybillnats.RequireClaims(Seats)}
	for _, c := range cases {
		auth := c.auth
		if auth == nil {
			auth = ordinary
		}
		provider, counted := count(t)
		opts := append([]waybillnats.Option{waybillnats.MeterProvider(provider)}, opts...)
		name := strings.ReplaceAll(c.name, " ", "-")
		conn := newConn(t, auth, nc, opts...)
		serve(t, nc, name+"-plain", conn.Handler(func(context.Context, *waybillnats.Msg) {
			t.Errorf("%s: the handler runs", c.name)
		}))
		serveMicro(t, nc, name+"-micro", conn.MicroHandler(func(context.Context, micro.Request) {
			t.Errorf("%s: the micro handler runs", c.name)
		}))
		for _, kind := range []string{"plain", "micro"} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				h := c.header(t)
				m, err := nc.RequestMsg(&nats.Msg{Subject: name + "-" + kind, Header: h}, patience)
				check(t, err)
				wantHeader(t, m.Header, micro.ErrorCodeHeader, c.code)
				wantHeader(t, m.Header, micro.ErrorHeader, "waybill refused: "+c.reason)
				wantHeader(t, m.Header, waybillnats.HeaderReason, c.reason)
				if len(m.Header) != 3 || len(m.Data) != 0 {
					t.Errorf("the answer has headers %v and body %q, want three headers and no body", m.Header, m.Data)
				}
				// A message without a reply subject gets no answer.
				check(t, nc.PublishMsg(&nats.Msg{Subject: name + "-" + kind, Header: h}))
				flush(t, nc)
			})
		}
		outcome := c.reason
		if outcome == "missing_claim" {
			outcome = "ok" // what was opened is not what the route demands
		}
		if got := counted.of(t, "waybill.open", outcome); got < 2 {
			t.Errorf("%s: waybill.open{outcome=%s} is %d, want at least 2", c.name, outcome, got)
		}
	}
}

func wantHeader(t testing.TB, h nats.Header, name, want string) {
	t.Helper()
	if got := h[name]; len(got) != 1 || got[0] != want {
		t.Errorf("header %s is %q, want %q", name, got, want)
	}
}

// By default an absent waybill passes and an invalid one does not; ReportOnly lets both pass,
// without claims.
func TestRules(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	past := waybilltest.Authority(t, claims, newClock(-time.Hour).option())
	type opts = []waybillnats.Option
	for _, c := range []struct {
		name            string
		opts            opts
		absent, expired string
	}{
		{"default", nil, "handled: absent", "refused: expired"},
		{"required", opts{waybillnats.Required()}, "refused: absent", "refused: expired"},
		{"report only", opts{waybillnats.Required(), waybillnats.ReportOnly()}, "handled: absent", "handled: expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			subject := strings.ReplaceAll(c.name, " ", "-")
			serve(t, nc, subject, newConn(t, auth, nc, c.opts...).Handler(func(ctx context.Context, m *waybillnats.Msg) {
				wb, err := waybill.FromContext(ctx)
				if wb != nil {
					t.Errorf("the handler has %v, want none", wb)
				}
				note(t, m.Respond([]byte("handled: "+waybill.Reason(err))))
			}))
			ask := func(h nats.Header) string {
				m, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: h}, patience)
				check(t, err)
				if reason := m.Header.Get(waybillnats.HeaderReason); reason != "" {
					return "refused: " + reason
				}
				return string(m.Data)
			}
			if got := ask(nil); got != c.absent {
				t.Errorf("absent: %q, want %q", got, c.absent)
			}
			if got := ask(nats.Header{"Waybill": {token(t, past)}}); got != c.expired {
				t.Errorf("expired: %q, want %q", got, c.expired)
			}
		})
	}
}

// A refusal to a message that a stream delivers would acknowledge it.
func TestRefusalIsNoAck(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	js, err := nc.JetStream()
	check(t, err)
	_, err = js.AddStream(&nats.StreamConfig{
		Name: "ORDERS", Subjects: []string{"orders"}, Retention: nats.WorkQueuePolicy,
	})
	check(t, err)
	acks := listen(t, nc, "$JS.ACK.>")
	handler := newConn(t, auth, nc, waybillnats.Required()).Handler(func(context.Context, *waybillnats.Msg) {
		t.Error("the handler runs")
	})
	delivered := make(chan struct{}, 8)
	_, err = js.Subscribe("orders", func(m *nats.Msg) {
		handler(m)
		delivered <- struct{}{}
	}, nats.ManualAck(), nats.AckWait(time.Hour))
	check(t, err)
	_, err = js.Publish("orders", nil)
	check(t, err)
	receive(t, delivered, "the delivery")
	flush(t, nc)
	if n, _, err := acks.Pending(); n != 0 || err != nil {
		t.Errorf("%d acknowledgements (%v), want none", n, err)
	}
	info, err := js.StreamInfo("ORDERS")
	check(t, err)
	if info.State.Msgs != 1 {
		t.Errorf("the stream has %d messages, want 1", info.State.Msgs)
	}
}

// An advisory of a consumer.
type advisory struct {
	Sequence uint64 `json:"stream_seq"`
	Reason   string `json:"reason"`
}

func nextAdvisory(t testing.TB, sub *nats.Subscription) (a advisory) {
	t.Helper()
	check(t, json.Unmarshal(next(t, sub).Data, &a))
	return a
}
