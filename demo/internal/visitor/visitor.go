// Package visitor is the booking of the page's visitor. The visitor's browser holds the waybill, in
// cookies or in a script; this package takes the steps that the browser asks for, notes what comes of
// them for the page to show, and attacks the waybill.
package visitor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Visitor takes steps. Its methods may be called at the same time.
type Visitor struct {
	Observer *watch.Observer
	JS       jetstream.JetStream
	Abroad   *Abroad

	trouble driver.Trouble
	header  *driver.Client
	cookies *driver.Client

	mu       sync.Mutex
	journeys []*journey // the latest last
}

// journey is what the page shows of a journey.
type journey struct {
	id      string
	cookies bool
	token   string // as last answered
	paidBy  string // the token that was sent with the first payment
	state   trip.State
	flights []string
	steps   []page.Step
	number  int
	paid    int

	tamper, replay, abroad *page.Result
}

// Connect says where the balancer is.
func (v *Visitor) Connect(balancer *url.URL) {
	v.header = driver.NewClient(balancer, driver.Waybill, &v.trouble)
	v.cookies = driver.NewClient(balancer, driver.Tab, &v.trouble)
}

// The page shows the last steps of a journey, and the last journeys.
const (
	shownSteps    = 12
	shownJourneys = 6
)

// patience is how long the visitor waits for a step.
const patience = 10 * time.Second

var steps = []string{
	gateway.Search, gateway.Flight, gateway.Hotel, gateway.Currency, gateway.Pay, gateway.Ticket,
	gateway.Look, gateway.Over,
}

// Tokens returns the waybill that a request to the page carries, if any. A request with the header
// is of a script, and its cookies are not looked at.
func Tokens(r *http.Request) (tokens []string, byCookie bool) {
	listed := r.Header.Values(waybill.Header)
	if listed == nil {
		return gateway.Tokens(r.Cookies()), true
	}
	for token := range strings.SplitSeq(strings.Join(listed, ","), ",") {
		if token = strings.TrimSpace(token); token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens, false
}

// Browser returns a client of the fleet that holds what a request to the page carries.
func (v *Visitor) Browser(r *http.Request) (*driver.Browser, error) {
	tokens, byCookie := Tokens(r)
	if byCookie {
		return v.cookies.Browser(r.Cookies()...)
	}
	b, err := v.header.Browser()
	if err == nil {
		b.Jar.Restore(tokens)
	}
	return b, err
}

// Serve takes a step for the browser that asks for it, and gives it back what the fleet gave for it:
// cookies, or the header's update. The header Demo-Journey tells the script which journey to show, and
// Demo-Apart that another step was answered meanwhile: the browser now holds two tokens, which the
// next request merges.
func (v *Visitor) Serve(w http.ResponseWriter, r *http.Request, step string) error {
	b, err := v.Browser(r)
	if err != nil {
		return err
	}
	sent, before := b.Tokens(), v.number(sidOf(driver.Newest(b.Tokens())))
	id, err := v.Step(r.Context(), b, step, r.URL.Query())
	if err != nil {
		return err
	}
	h := w.Header()
	if h["Set-Cookie"] = b.SetCookie; b.Jar != nil && !slices.Equal(b.Tokens(), sent) {
		h.Set(waybill.HeaderReturn, strings.Join(b.Tokens(), ""))
	}
	if h.Set("Demo-Journey", id); v.number(id) > before+1 {
		h.Set("Demo-Apart", "1")
	}
	return nil
}

// number returns how many steps of a journey were answered.
func (v *Visitor) number(id string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if j := v.find(id); j != nil {
		return j.number
	}
	return 0
}

// Step takes a step by a browser. It returns when the step is done, with the id of the journey. That
// the step was refused is no error: the journey tells.
func (v *Visitor) Step(ctx context.Context, b *driver.Browser, name string, asked url.Values) (id string, err error) {
	if !slices.Contains(steps, name) {
		return "", fmt.Errorf("%w: the steps are %s", page.ErrUnknown, strings.Join(steps, ", "))
	}
	sent := driver.Newest(b.Tokens())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, span := tracing.Step(ctx, name)
	began := time.Now()
	r, err := b.Take(ctx, name, asked, func(driver.Reply) {})
	span.End()

	v.mu.Lock()
	defer v.mu.Unlock()
	if name == gateway.Over {
		v.journeys = slices.DeleteFunc(v.journeys, func(j *journey) bool { return j.id == sidOf(sent) || j.cookies && b.Jar == nil })
		return "", err
	}
	j := v.open(cmp.Or(r.Answer.Journey, sidOf(sent)), b.Jar == nil)
	if name == gateway.Pay && j.paidBy == "" {
		j.paidBy = sent
	}
	j.token = driver.Newest(b.Tokens())
	j.number++
	s := page.Step{
		Number: j.number, Name: name, Trace: span.SpanContext().TraceID().String(),
		Millis: float64(time.Since(began).Microseconds()) / 1000, Retries: int(r.Retries),
	}
	s.OK, s.Text = j.take(name, r, err)
	j.steps = append(j.steps, s)
	j.steps = j.steps[max(0, len(j.steps)-shownSteps):]
	return j.id, nil
}

// open returns what is shown of a journey, from now on if it is new. The caller holds the lock.
func (v *Visitor) open(id string, cookies bool) *journey {
	j := v.find(id)
	if j == nil {
		j = &journey{id: id, cookies: cookies}
		v.journeys = append(v.journeys, j)
		v.journeys = v.journeys[max(0, len(v.journeys)-shownJourneys):]
	}
	return j
}

// find returns what is shown of a journey, or nil. The caller holds the lock.
func (v *Visitor) find(id string) *journey {
	if i := slices.IndexFunc(v.journeys, func(j *journey) bool { return j.id == id }); i >= 0 {
		return v.journeys[i]
	}
	return nil
}

// take notes what a step came to, and tells it in plain words.
func (j *journey) take(step string, r driver.Reply, err error) (ok bool, text string) {
	switch {
	case err != nil:
		return false, fmt.Sprintf("Nothing was acknowledged in %v, so nothing is lost: try again. (%v)", patience, err)
	case r.Refusal != "":
		return false, fmt.Sprintf("Refused with status %d: %s. Search to begin a new journey.", r.Status,
			strings.ReplaceAll(r.Refusal, "_", " "))
	case r.Status != http.StatusOK:
		return false, fmt.Sprintf("Not done, status %d: %s.", r.Status, r.Answer.Error)
	}
	before := j.state
	j.state = r.Answer.State
	switch step {
	case gateway.Search:
		j.flights = r.Answer.Flights
		return true, "Found " + strings.Join(j.flights, ", ") + "."
	case gateway.Pay:
		j.paid++
		if before[trip.Paid.Name()] != nil {
			return true, "Paid again: the same receipt, " + word(j.state[trip.Paid.Name()]) + ", and no second order."
		}
		return true, "Paid. The receipt is " + word(j.state[trip.Paid.Name()]) + "."
	}
	return true, "Now " + news(before, j.state) + "."
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

// Journeys returns the journey of the browser with cookies, and the journeys of scripts.
func (v *Visitor) Journeys(ctx context.Context) (shared page.Journey, scripts []page.Journey) {
	now := []journey{{cookies: true}}
	v.mu.Lock()
	for _, j := range v.journeys {
		now = append(now, *j)
	}
	v.mu.Unlock()
	for _, j := range now {
		if shown := v.show(ctx, j); j.cookies {
			shared = shown
		} else {
			scripts = append(scripts, shown)
		}
	}
	return shared, scripts
}

// show returns what the page shows of a journey. The steps behind j are not changed any more.
func (v *Visitor) show(ctx context.Context, j journey) page.Journey {
	p := page.Journey{
		ID: j.id, Token: j.token, Claims: map[string]string{}, Life: life.Seconds(), Steps: slices.Clone(j.steps),
		Paid: j.paid, Tamper: j.tamper, Replay: j.replay, Abroad: j.abroad, Flights: j.flights,
	}
	for name, raw := range j.state {
		p.Claims[name] = strings.ReplaceAll(strings.Trim(string(raw), `"[]`), `","`, " ")
	}
	if j.token != "" {
		p.Left = max(0, time.Until(expires(j.token)).Seconds())
	}
	if i := strings.LastIndex(j.token, ".") + 1; j.cookies { // no script gets what is in the cookie
		p.Token = j.token[:i] + strings.Repeat("*", len(j.token)-i)
	}
	for i, s := range p.Steps {
		p.Steps[i].Hops = v.Observer.Hops(s.Trace)
	}
	if j.paid > 0 {
		p.Tickets = v.tickets(ctx, j.id)
	}
	return p
}
