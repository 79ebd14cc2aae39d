package sticky

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/cart"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/demo/services/payment"
	"github.com/waybill-go/waybill/demo/services/pricing"
)

// step changes a session as the step of the same name changes a waybill, and takes the time that it
// takes there.
type step func(ctx context.Context, s trip.State, q url.Values, answer *gateway.Answer) error

var errNoStep = errors.New("there is no such step")

var steps = map[string]step{
	gateway.Search: func(ctx context.Context, s trip.State, q url.Values, answer *gateway.Answer) error {
		answer.Flights = cart.Offers(q.Get("to"))
		set(s, trip.To.Name(), q.Get("to"))
		set(s, trip.Cell.Name(), q.Get("cell"))
		return work(ctx, len(answer.Flights))
	},
	gateway.Flight: func(ctx context.Context, s trip.State, q url.Values, _ *gateway.Answer) error {
		set(s, trip.Flight.Name(), q.Get("flight"))
		return errors.Join(price(s), work(ctx, 1))
	},
	gateway.Hotel: func(ctx context.Context, s trip.State, q url.Values, _ *gateway.Answer) error {
		set(s, trip.Hotel.Name(), q.Get("hotel"))
		set(s, trip.Fee.Name(), payment.Fees[q.Get("card")])
		return errors.Join(price(s), work(ctx, 1))
	},
	gateway.Currency: func(ctx context.Context, s trip.State, q url.Values, _ *gateway.Answer) error {
		set(s, trip.Currency.Name(), q.Get("currency"))
		return errors.Join(price(s), work(ctx, 1))
	},
	gateway.Pay: func(ctx context.Context, s trip.State, _ url.Values, _ *gateway.Answer) error {
		if s[trip.Paid.Name()] == nil { // paying twice is paying once
			set(s, trip.Paid.Name(), rand.Text()[:12])
		}
		return work(ctx, 1)
	},
	gateway.Ticket: func(ctx context.Context, s trip.State, _ url.Values, _ *gateway.Answer) error {
		if s[trip.Ticket.Name()] == nil {
			set(s, trip.Ticket.Name(), rand.Text()[:10])
		}
		return work(ctx, 1)
	},
}

func work(ctx context.Context, times int) error {
	for range times {
		if err := service.Work(ctx); err != nil {
			return err
		}
	}
	return nil
}

func price(s trip.State) error {
	total, err := pricing.Total(get(s, trip.Cell.Name()), get(s, trip.Flight.Name()), get(s, trip.Hotel.Name()),
		get(s, trip.Currency.Name()))
	if err == nil {
		set(s, trip.Total.Name(), total)
	}
	return err
}

func set(s trip.State, claim string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // a text or a number
	}
	s[claim] = data
}

func get(s trip.State, claim string) (v string) {
	json.Unmarshal(s[claim], &v)
	return v
}
