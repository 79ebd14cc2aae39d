package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/demo/services/cart"
	"github.com/waybill-go/waybill/demo/services/fulfil"
	"github.com/waybill-go/waybill/demo/services/pricing"
)

// step does one step of a booking. Its results are in the waybill of ctx.
type step func(ctx context.Context, q url.Values, answer *Answer) error

func (s *server) search(ctx context.Context, q url.Values, answer *Answer) error {
	return s.cart.Flights(ctx, q.Get("to"), func(flight string) error {
		answer.Flights = append(answer.Flights, flight)
		return nil
	})
}

func (s *server) flight(ctx context.Context, q url.Values, _ *Answer) error {
	flight := q.Get("flight")
	return wait.All(
		func() error { return s.cart.Add(ctx, cart.Item{Flight: flight}) },
		func() error { return s.pricing.Quote(ctx, pricing.Ask{Flight: flight}) },
	)
}

// hotel asks three services at once, over two transports. Each changes other claims, and all of
// them stamp the waybill: the merge brings everything back.
func (s *server) hotel(ctx context.Context, q url.Values, _ *Answer) error {
	hotel := q.Get("hotel")
	return wait.All(
		func() error { return s.cart.Add(ctx, cart.Item{Hotel: hotel}) },
		func() error { return s.pricing.Quote(ctx, pricing.Ask{Hotel: hotel}) },
		func() error { return s.payment.Quote(ctx, q.Get("card")) },
	)
}

func (s *server) currency(ctx context.Context, q url.Values, _ *Answer) error {
	return s.pricing.Quote(ctx, pricing.Ask{Currency: q.Get("currency")})
}

func (s *server) pay(ctx context.Context, _ url.Values, _ *Answer) error { return s.payment.Pay(ctx) }

// ticket looks for the ticket that an order became. A durable message has no way back, so the
// gateway has to ask.
func (s *server) ticket(ctx context.Context, _ url.Values, _ *Answer) error {
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		return err
	}
	ticket, found, err := fulfil.Find(ctx, s.js, wb.ID())
	switch {
	case err != nil:
		return err
	case !found:
		return errPending
	}
	return waybill.Update(ctx, trip.Ticket.To(ticket.Number))
}

// abroad asks the foreign host, with the waybill in ctx as every call has it. Whether it leaves is
// not decided here.
func (s *server) abroad(ctx context.Context, _ url.Values, _ *Answer) error {
	if len(s.env.Peers["abroad"]) == 0 {
		return errors.New("there is no foreign host")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.env.Peers["abroad"][0]+"/exchange-rates", nil)
	if err != nil {
		return err
	}
	res, err := s.outside.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
