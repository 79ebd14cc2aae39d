// Package gateway is the edge: it starts a journey on the first visit, takes the waybill of a later
// one, and answers with the waybill as it is then. Each step of a booking is a POST, so a journey
// is as many requests as it has steps, and any gateway serves any of them.
package gateway

import "github.com/waybill-go/waybill/demo/internal/trip"

// The steps of a booking are paths: POST /search?to=AMS&cell=eu, /flight?flight=…,
// /hotel?hotel=…&card=visa, /currency?currency=USD, /pay, /ticket.
const (
	Search   = "search"
	Flight   = "flight"
	Hotel    = "hotel"
	Currency = "currency"
	Pay      = "pay"
	Ticket   = "ticket" // answers 202 for as long as there is none

	// Abroad is no step of a booking: it asks a host that the waybill must not reach, as a service
	// asks a third party.
	Abroad = "abroad"
)

// Answer is the body of every answer.
type Answer struct {
	Gateway string     `json:"gateway"`           // the replica that answers
	Journey string     `json:"journey"`           // the journey's id
	State   trip.State `json:"state"`             // the claims in the waybill that goes back with this
	Flights []string   `json:"flights,omitempty"` // what a search found
	Error   string     `json:"error,omitempty"`   // why the step was not done
}
