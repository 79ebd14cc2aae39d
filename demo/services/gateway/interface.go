// Package gateway is the edge: a search begins a journey, later steps continue it, and each answer
// carries the waybill as it is then, in a cookie or in a header, as the client sent it. Each step of
// a booking is a POST, so a journey is as many requests as it has steps, and any gateway serves any
// of them.
package gateway

import (
	"net/http"
	"strings"

	"github.com/waybill-go/waybill/demo/internal/trip"
)

// The steps of a booking are paths: POST /search?to=AMS&cell=eu, /flight?flight=…,
// /hotel?hotel=…&card=visa, /currency?currency=USD, /pay, /ticket.
const (
	Search   = "search"
	Flight   = "flight"
	Hotel    = "hotel"
	Currency = "currency"
	Pay      = "pay"
	Ticket   = "ticket" // answers 202 for as long as there is none

	// The others are no steps of a booking. Look changes nothing, and answers with the state. Abroad
	// asks a host that the waybill must not reach, as a service asks a third party. Over ends the
	// journey, as a logout does.
	Look   = "look"
	Abroad = "abroad"
	Over   = "over"
)

// Answer is the body of every answer.
type Answer struct {
	Gateway string     `json:"gateway"`           // the replica that answers
	Journey string     `json:"journey"`           // the journey's id
	State   trip.State `json:"state"`             // the claims in the waybill that goes back with this
	Flights []string   `json:"flights,omitempty"` // what a search found
	Error   string     `json:"error,omitempty"`   // why the step was not done
}

// Tokens returns the waybill in a browser's cookies, if any. Requests at once may have left several
// tokens.
func Tokens(cookies []*http.Cookie) (tokens []string) {
	for _, c := range cookies {
		if strings.HasPrefix(c.Name, "wb-") {
			tokens = append(tokens, c.Value)
		}
	}
	return tokens
}
