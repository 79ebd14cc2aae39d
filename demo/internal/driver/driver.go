// Package driver is the travellers. Each keeps one thing of its journey: the waybill, in a
// [waybillhttp.Jar]. Other travellers book the same trips in the other lanes, and keep cookies. The tests
// of [Command] are in the demo's root.
package driver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/demo/services/gateway"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Interfere is called after each step with what the traveller holds, what it sent with the step, and
// what it sent with the step before. Tests set it to a fault, to see that the ledger notices.
var Interfere func(step string, jar *waybillhttp.Jar, sent, before []string)

// Driver books trips in a lane.
type Driver struct {
	Lane    Lane
	Ledger  *ledger.Ledger
	Seed    uint64
	Think   time.Duration // on average, between two steps
	Trouble Trouble
	Pace    Pace

	// Heard, if it is not nil, is told of each answer that says a step was done. It is called by
	// many travellers at once.
	Heard func(ledger.Sent, gateway.Answer)

	client *Client
}

// Connect says where the balancer is.
func (d *Driver) Connect(balancer *url.URL) { d.client = NewClient(balancer, d.Lane, &d.Trouble) }

// Unavailable returns for how long the lane answered no request although there were some.
func (d *Driver) Unavailable() time.Duration { return d.client.outage.sum() }

// ErrEnded says that a journey came to an end before its time: its session is gone, or its key was
// revoked.
var ErrEnded = errors.New("the journey ended")

// visit is one step that a traveller takes.
type visit struct {
	step string
	ask  url.Values
	want map[string]string // by claim, what the answer must say
}

// Book books the n-th trip of the seed, from the search to the ticket. The booking was due to begin
// at a time that may have passed: that wait counts as part of the first step.
func (d *Driver) Book(ctx context.Context, n int, due time.Time) error {
	rng := rand.New(rand.NewPCG(d.Seed, uint64(n)))
	page := d.Ledger.Begin()
	defer page.Close()
	b, err := d.client.Browser()
	if err != nil {
		return err
	}
	var sent, before []string
	var flights []string
	for _, v := range plan(rng) {
		if v.step == gateway.Flight {
			flight := flights[rng.IntN(len(flights))]
			v.ask.Set("flight", flight)
			v.want["flight"] = flight
		}
		before, sent = sent, b.Tokens()
		if v.step == gateway.Pay && n%4 == 1 {
			// A traveller who clicks twice. The first answer never reaches the page.
			if _, err := b.Post(ctx, v.step, v.ask); err != nil {
				return fmt.Errorf("journey %d: %w", n, err)
			}
			if b.Jar != nil {
				b.Jar.Restore(sent)
			}
			d.Trouble.PaidTwice.Add(1)
		}
		r, err := d.take(ctx, page, v, b)
		if err != nil {
			return fmt.Errorf("journey %d: %w", n, err)
		}
		d.Pace.took(time.Since(due))
		if v.step == gateway.Search {
			flights = r.Answer.Flights
		}
		if Interfere != nil && b.Jar != nil {
			Interfere(v.step, b.Jar, sent, before)
		}
		if err := wait.For(ctx, d.Think/2+time.Duration(rng.Int64N(int64(d.Think)+1))); err != nil {
			return err
		}
		due = time.Now()
	}
	page.Finish()
	return nil
}

// patience is how long a traveller tries one step.
const patience = 30 * time.Second

// take does one step until it is done.
func (d *Driver) take(ctx context.Context, page *ledger.Journey, v visit, b *Browser) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := b.Take(ctx, v.step, v.ask, func(r Reply) { page.Pending(v.step, r.Answer) })
	if err != nil {
		return r, err
	}
	switch r.Status {
	case http.StatusOK:
		page.Acknowledge(v.step, v.want, r.sent, r.Answer)
		if d.Heard != nil {
			d.Heard(r.sent, r.Answer)
		}
		return r, nil
	case http.StatusGone:
		page.Forgotten(v.step)
		return r, fmt.Errorf("%s: %w: %s", v.step, ErrEnded, r.Answer.Error)
	case http.StatusUnauthorized:
		page.Refused(v.step, r.sent)
		return r, fmt.Errorf("%s: %w: status 401", v.step, ErrEnded)
	}
	return r, fmt.Errorf("%s: status %d: %s", v.step, r.Status, r.Answer.Error)
}

// plan is what a traveller wants. Which flight, it decides when it sees them.
func plan(rng *rand.Rand) []visit {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	to, cell := pick("AMS", "LIS", "OSL", "NYC", "YVR"), pick(trip.Cells...)
	hotel, card, currency := to+"-"+pick("Canal", "Grand", "Plaza"), pick("visa", "amex", "giro"), pick("USD", "GBP")
	return []visit{
		{gateway.Search, url.Values{"to": {to}, "cell": {cell}}, map[string]string{"to": to, "cell": cell}},
		{gateway.Flight, url.Values{}, map[string]string{}},
		{gateway.Hotel, url.Values{"hotel": {hotel}, "card": {card}}, map[string]string{"hotel": hotel}},
		{gateway.Currency, url.Values{"currency": {currency}}, map[string]string{"currency": currency}},
		{gateway.Pay, nil, nil},
		{gateway.Ticket, nil, nil},
	}
}
