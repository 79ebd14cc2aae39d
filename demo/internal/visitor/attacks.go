package visitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// token returns the waybill that the visitor has, if any.
func (v *Visitor) token() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now.token == "" {
		return "", fmt.Errorf("%w: there is no waybill yet; search for a flight first", page.ErrNotNow)
	}
	return v.now.token, nil
}

// Forged is the outcome of forgeries.
type Forged struct {
	Tried    int
	Accepted []string // what they were
}

// Tamper sends forgeries of the visitor's token. The journey shows the outcome.
func (v *Visitor) Tamper(ctx context.Context) (Forged, error) {
	token, err := v.token()
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
		// A token under an unknown key starts a new journey. If the answer knows where this journey
		// goes, the forgery was believed.
		if r.Status < 400 && r.Answer.State[trip.To.Name()] != nil {
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
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.tamper = &result
	return f, nil
}

// fate tells what a gateway did with a token.
func fate(r driver.Reply) string {
	switch {
	case r.Refusal != "":
		return fmt.Sprintf("%d %s", r.Status, strings.ReplaceAll(r.Refusal, "_", " "))
	case r.Status < 400:
		return "taken for no waybill, and answered with a new and empty journey"
	}
	return fmt.Sprintf("%d %s", r.Status, r.Answer.Error)
}

// Replay sends the token once more that the visitor paid with, and compares what comes of it. It
// returns how many tickets the journey has then.
func (v *Visitor) Replay(ctx context.Context) (tickets int, err error) {
	v.mu.Lock()
	old, id, receipt := v.now.paidBy, v.now.id, word(v.now.state[trip.Paid.Name()])
	v.mu.Unlock()
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
	tickets = v.settledTickets(ctx, id)
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
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.replay = &result
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
	stream, err := v.JS.Stream(ctx, broker.Tickets)
	if err != nil {
		return 0
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(broker.Ticket(id)))
	if err != nil {
		return 0
	}
	return int(info.State.Subjects[broker.Ticket(id)])
}

// SendAbroad has a gateway call a foreign host in the visitor's journey, and looks there for what
// came. It reports whether the waybill stayed at home.
func (v *Visitor) SendAbroad(ctx context.Context) (stayed bool, err error) {
	token, err := v.token()
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
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.abroad = &result
	return result.AsPromised, nil
}

// try posts a step that is not the visitor's own, and leaves the journey as it is.
func (v *Visitor) try(ctx context.Context, step string, asked url.Values, token string) (driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, span := tracing.Step(ctx, step)
	defer span.End()
	return v.client.Post(ctx, step, asked, token)
}
