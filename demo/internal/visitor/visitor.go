// Package visitor is the journey of the page's visitor: the browser's part of it, which keeps one
// waybill, and the attacks on that waybill.
package visitor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Visitor is one. Its methods may be called at the same time; steps are taken one after the other.
type Visitor struct {
	Observer *watch.Observer
	JS       jetstream.JetStream
	Abroad   *Abroad

	trouble driver.Trouble
	client  *driver.Client

	busy sync.Mutex // held for as long as a step takes
	mu   sync.Mutex
	now  journey
}

// journey is the state that the browser keeps, and further figures that the page shows.
type journey struct {
	token   string
	paidBy  string // the token that was sent with the first payment
	id      string
	state   trip.State
	flights []string
	steps   []page.Step
	number  int
	paid    int
	busy    bool

	tamper, replay, abroad *page.Result
}

// Connect says where the balancer is.
func (v *Visitor) Connect(url string) { v.client = driver.NewClient(url, driver.Waybill, &v.trouble) }

// shown is how many steps the page shows.
const shown = 12

// patience is how long the visitor waits for a step.
const patience = 10 * time.Second

var steps = []string{gateway.Search, gateway.Flight, gateway.Hotel, gateway.Currency, gateway.Pay, gateway.Ticket}

// New throws the waybill away.
func (v *Visitor) New() error {
	if !v.busy.TryLock() {
		return fmt.Errorf("%w: a step is under way", page.ErrNotNow)
	}
	defer v.busy.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = journey{}
	return nil
}

// Step takes a step and returns when it is done. That it was refused is no error: the journey
// tells.
func (v *Visitor) Step(ctx context.Context, name string, asked url.Values) error {
	if !slices.Contains(steps, name) {
		return fmt.Errorf("%w: the steps are %s", page.ErrUnknown, strings.Join(steps, ", "))
	}
	if !v.busy.TryLock() {
		return fmt.Errorf("%w: a step is under way", page.ErrNotNow)
	}
	defer v.busy.Unlock()
	v.mu.Lock()
	v.now.busy = true
	if name == gateway.Pay && v.now.paidBy == "" {
		v.now.paidBy = v.now.token
	}
	token := v.now.token
	v.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, span := tracing.Step(ctx, name)
	began := time.Now()
	r, err := v.client.Take(ctx, name, asked, token, func(driver.Reply) {})
	span.End()

	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.busy = false
	v.now.number++
	s := page.Step{
		Number: v.now.number, Name: name, Trace: span.SpanContext().TraceID().String(),
		Millis: float64(time.Since(began).Microseconds()) / 1000, Retries: int(r.Retries),
	}
	s.OK, s.Text = v.now.take(name, r, err)
	v.now.steps = append(v.now.steps, s)
	if len(v.now.steps) > shown {
		v.now.steps = v.now.steps[1:]
	}
	return nil
}

// take notes what a step came to, and tells it in plain words.
func (j *journey) take(step string, r driver.Reply, err error) (ok bool, text string) {
	switch {
	case err != nil:
		return false, fmt.Sprintf("Nothing was acknowledged in %v, so nothing is lost: try again. (%v)", patience, err)
	case r.Refusal != "":
		return false, fmt.Sprintf("Refused with status %d: %s. %s", r.Status,
			strings.ReplaceAll(r.Refusal, "_", " "), advice[r.Refusal])
	case r.Status != http.StatusOK:
		return false, fmt.Sprintf("Not done, status %d: %s.", r.Status, r.Answer.Error)
	}
	if r.Update != "" {
		j.token = r.Update
	}
	if j.id != "" && j.id != r.Answer.Journey {
		text = "The waybill had expired, so this is a new journey. "
		*j = journey{token: j.token, number: j.number, steps: j.steps}
	}
	before := j.state
	j.id, j.state = r.Answer.Journey, r.Answer.State
	switch step {
	case gateway.Search:
		j.flights = r.Answer.Flights
		return true, text + "Found " + strings.Join(j.flights, ", ") + "."
	case gateway.Pay:
		j.paid++
		if before[trip.Paid.Name()] != nil {
			return true, text + "Paid again: the same receipt, " + word(j.state[trip.Paid.Name()]) + ", and no second order."
		}
		return true, text + "Paid. The receipt is " + word(j.state[trip.Paid.Name()]) + "."
	}
	return true, text + "Now " + news(before, j.state) + "."
}

// advice is what a visitor can do about a refusal.
var advice = map[string]string{
	"revoked": "The key that signed this waybill was revoked, which ends every journey under it. Start a new one.",
}

// news tells which claims a step changed.
func news(before, now trip.State) string {
	var told []string
	for _, c := range trip.Claims {
		name := c.Name()
		if name != trip.Step.Name() && name != trip.Stamps.Name() && string(before[name]) != string(now[name]) {
			told = append(told, name+" is "+word(now[name]))
		}
	}
	if len(told) == 0 {
		return "everything is as it was"
	}
	return strings.Join(told, ", ")
}

func word(raw []byte) string { return strings.Trim(string(raw), `"`) }

// Journey returns the journey as it is now.
func (v *Visitor) Journey(ctx context.Context) page.Journey {
	v.mu.Lock()
	j := v.now
	j.steps = slices.Clone(j.steps)
	v.mu.Unlock()
	p := page.Journey{
		ID: j.id, Token: j.token, Claims: map[string]string{}, Life: life.Seconds(), Steps: j.steps, Busy: j.busy,
		Paid: j.paid, Tamper: j.tamper, Replay: j.replay, Abroad: j.abroad, Offers: j.offers(),
	}
	for name, raw := range j.state {
		p.Claims[name] = strings.ReplaceAll(strings.Trim(string(raw), `"[]`), `","`, " ")
	}
	if j.token != "" {
		p.Left = max(0, time.Until(expires(j.token)).Seconds())
	}
	for i, s := range p.Steps {
		p.Steps[i].Hops = v.Observer.Hops(s.Trace)
	}
	if j.paid > 0 {
		p.Tickets = v.tickets(ctx, j.id)
	}
	return p
}
