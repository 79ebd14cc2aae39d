package visitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// held returns the journey that an attack is on, by the waybill that the attacker holds.
func (v *Visitor) held(tokens []string) (token string, j journey, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	token = driver.Newest(tokens)
	shown := v.find(sidOf(token))
	if token == "" || shown == nil {
		return "", journey{}, fmt.Errorf("%w: there is no waybill yet; search for a flight first", page.ErrNotNow)
	}
	return token, *shown, nil
}

// note notes the result of an attack on a journey.
func (v *Visitor) note(id string, result func(*journey)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if j := v.find(id); j != nil {
		result(j)
	}
}

// Forged is the outcome of forgeries.
type Forged struct {
	Tried    int
	Accepted []string // what they were
}

// Tamper sends forgeries of a waybill. The journey shows the outcome.
func (v *Visitor) Tamper(ctx context.Context, tokens []string) (Forged, error) {
	token, j, err := v.held(tokens)
	if err != nil {
		return Forged{}, err
	}
	all := Forge(token)
	f := Forged{Tried: len(all)}
	var told []string
	for _, forged := range all {
		r, err := v.try(ctx, gateway.Currency, url.Values{"currency": {"EUR"}}, forged.Token)
		if err != nil {
			return f, err
		}
		if r.Status < 400 {
			f.Accepted = append(f.Accepted, forged.What)
		}
		told = append(told, fmt.Sprintf("%s: %s", forged.What, fate(r)))
	}
	result := page.Result{AsPromised: len(f.Accepted) == 0, Verdict: "Refused"}
	if !result.AsPromised {
		result.Verdict = "Accepted"
	}
	result.Text = fmt.Sprintf("Sent this waybill with %d changes, one by one, without the key. What the gateway said – %s.",
		len(all), strings.Join(told, "; "))
	v.note(j.id, func(j *journey) { j.tamper = &result })
	return f, nil
}

// fate tells what a gateway did with a token.
func fate(r driver.Reply) string {
	return fmt.Sprintf("%d %s", r.Status, cmp.Or(strings.ReplaceAll(r.Refusal, "_", " "), r.Answer.Error, "accepted"))
}

// Replay sends the token once more that the journey was paid with, and compares what comes of it. It
// returns how many tickets the journey has then.
func (v *Visitor) Replay(ctx context.Context, tokens []string) (tickets int, err error) {
	_, j, err := v.held(tokens)
	if err != nil {
		return 0, err
	}
	old, receipt := j.paidBy, word(j.state[trip.Paid.Name()])
	if old == "" || receipt == "" {
		return 0, fmt.Errorf("%w: pay first; then the waybill that paid can be sent again", page.ErrNotNow)
	}
	if time.Now().After(expires(old)) {
		return 0, fmt.Errorf("%w: the waybill that paid has expired; start a new journey", page.ErrNotNow)
	}
	r, err := v.try(ctx, gateway.Pay, nil, old)
	if err != nil {
		return 0, err
	}
	again := word(r.Answer.State[trip.Paid.Name()])
	tickets = v.settledTickets(ctx, j.id)
	result := page.Result{AsPromised: r.Status == http.StatusOK && again == receipt && tickets == 1, Verdict: "One ticket"}
	if tickets != 1 {
		result.Verdict = fmt.Sprintf("%d tickets", tickets)
	}
	result.Text = fmt.Sprintf("Sent the waybill once more that this journey paid with. It was accepted, as any waybill is for "+
		"the %.0f minutes of its life: nothing keeps a list of those that were used. It is harmless, because the journey and "+
		"the step are the idempotency key of the payment: the same receipt (%s), the order dropped as a duplicate, %d ticket.",
		life.Minutes(), again, tickets)
	if r.Status != http.StatusOK {
		result.Text = fmt.Sprintf("Sent the waybill once more that this journey paid with, and was told: %s.", fate(r))
		result.Verdict = "Refused"
	}
	v.note(j.id, func(j *journey) { j.replay = &result })
	return tickets, nil
}

// settledTickets returns how many tickets a journey has, once it has one and an order placed twice
// had the time to become a second one.
func (v *Visitor) settledTickets(ctx context.Context, id string) (n int) {
	for range 30 {
		time.Sleep(20 * time.Millisecond)
		n = v.tickets(ctx, id)
	}
	return n
}

// tickets counts them in the stream.
func (v *Visitor) tickets(ctx context.Context, id string) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	issued, _ := broker.TicketsBy(ctx, v.JS, broker.Ticket(id)) // none while the broker does not answer
	return int(issued[broker.Ticket(id)])
}

// SendAbroad has a gateway call a foreign host in the visitor's journey, and looks there for what
// came. It reports whether the waybill stayed at home.
func (v *Visitor) SendAbroad(ctx context.Context, tokens []string) (stayed bool, err error) {
	token, j, err := v.held(tokens)
	if err != nil {
		return false, err
	}
	before, _, _ := v.Abroad.seen()
	r, err := v.try(ctx, gateway.Abroad, nil, token)
	switch {
	case err != nil:
		return false, err
	case r.Status != http.StatusOK:
		return false, fmt.Errorf("%w: the gateway said %s", page.ErrNotNow, fate(r))
	}
	calls, headers, leaked := v.Abroad.seen()
	if calls == before {
		return false, errors.New("the foreign host was not called")
	}
	result := page.Result{AsPromised: len(leaked) == 0, Verdict: "Stayed at home"}
	if len(leaked) > 0 {
		result.Verdict = "Left"
	}
	result.Text = fmt.Sprintf("%s handled this journey and called %s, a host that is not on its list. The call arrived, "+
		"with these headers: %s. The waybill was not among them: a transport hands it only to hosts that it was told of.",
		r.Answer.Gateway, v.Abroad.Addr(), strings.Join(headers, ", "))
	v.note(j.id, func(j *journey) { j.abroad = &result })
	return result.AsPromised, nil
}

// try posts a step with a token that is not the visitor's, and leaves what is shown as it is.
func (v *Visitor) try(ctx context.Context, step string, asked url.Values, token string) (driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, span := tracing.Step(ctx, step)
	defer span.End()
	b, err := v.header.Browser()
	if err != nil {
		return driver.Reply{}, err
	}
	b.Jar.Restore([]string{token})
	return b.Post(ctx, step, asked)
}
