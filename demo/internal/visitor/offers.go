package visitor

import (
	"slices"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// choices are what the steps ask for. The flights depend on the search.
var choices = map[string][]page.Choice{
	gateway.Search: {
		{Name: "to", Label: "Where to", Options: []string{"AMS", "LIS", "OSL", "NYC", "YVR"}},
		{Name: "cell", Label: "Priced in", Options: trip.Cells},
	},
	gateway.Hotel: {
		{Name: "hotel", Label: "Hotel", Options: []string{"Canal", "Grand", "Plaza"}},
		{Name: "card", Label: "Card", Options: []string{"visa", "amex", "giro"}},
	},
	gateway.Currency: {{Name: "currency", Label: "Currency", Options: []string{"USD", "GBP", "EUR"}}},
}

var labels = map[string]string{
	gateway.Search: "Search", gateway.Flight: "Add flight", gateway.Hotel: "Add hotel",
	gateway.Currency: "Change currency", gateway.Pay: "Pay", gateway.Ticket: "Get ticket",
}

// offers are the steps that make sense now: the next one first, and then those that can be done
// again.
func (j *journey) offers() []page.Offer {
	next := gateway.Search
	for _, s := range []struct{ claim, then string }{
		{trip.To.Name(), gateway.Flight}, {trip.Flight.Name(), gateway.Hotel}, {trip.Hotel.Name(), gateway.Currency},
		{trip.Currency.Name(), gateway.Pay}, {trip.Paid.Name(), gateway.Ticket}, {trip.Ticket.Name(), ""},
	} {
		if j.state[s.claim] != nil {
			next = s.then
		}
	}
	var offers []page.Offer
	if next != "" {
		offers = append(offers, j.offer(next, labels[next]))
	}
	if j.paid > 0 {
		return append(offers, j.offer(gateway.Pay, "Pay again"))
	}
	for _, step := range steps[:max(0, slices.Index(steps, next))] {
		offers = append(offers, j.offer(step, labels[step]+" again"))
	}
	return offers
}

func (j *journey) offer(step, label string) page.Offer {
	asks := choices[step]
	if step == gateway.Flight {
		asks = []page.Choice{{Name: "flight", Label: "Flight", Options: j.flights}}
	}
	return page.Offer{Step: step, Label: label, Asks: asks}
}
