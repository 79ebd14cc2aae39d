// Package trip is what all services of the demo agree on: the claims of a booking, which are the
// whole of its state.
package trip

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/waybill-go/waybill"
)

// Domain is the trust domain: the "aud" of every waybill.
const Domain = "trips"

// The claims, in the order in which a booking fills them.
var (
	// Cell is where the journey is priced. The gateway sets it at the start; fixed, it cannot be
	// moved by a mistake later.
	Cell = waybill.NewClaim[string]("cell").Fixed()
	// Step is what the traveller asked for last. With the journey's id it makes the idempotency
	// key; see [Key].
	Step = waybill.NewClaim[string]("step")
	// Stamps are the replicas that changed the waybill. Parallel calls all add theirs, hence the
	// union.
	Stamps = waybill.NewClaim[[]string]("stamps").Merge(waybill.Union)

	To       = waybill.NewClaim[string]("to")
	Flight   = waybill.NewClaim[string]("flight")
	Hotel    = waybill.NewClaim[string]("hotel")
	Currency = waybill.NewClaim[string]("currency")
	Total    = waybill.NewClaim[int]("total") // hundredths of Currency
	Fee      = waybill.NewClaim[int]("fee")   // of the card, in hundredths of a per cent

	// Paid is the receipt. It must not travel back from a payment that failed half-way.
	Paid   = waybill.NewClaim[string]("paid").OnSuccess()
	Ticket = waybill.NewClaim[string]("ticket").OnSuccess()
)

// Claims are all of them, for [waybill.Claims].
var Claims = []waybill.Declaration{
	Cell, Step, Stamps, To, Flight, Hotel, Currency, Total, Fee, Paid, Ticket,
}

// Cells are the places where journeys are priced.
var Cells = []string{"eu", "us"}

// Stamp is the change that adds a replica to the stamps.
func Stamp(replica string) waybill.Change {
	return Stamps.With(func(have []string) []string { return waybill.Union(nil, have, []string{replica}) })
}

// Key is the idempotency key of what a journey is doing now. A call that is repeated, because its
// answer was lost with the process that was to give it, comes with the same key.
func Key(wb *waybill.Waybill) string {
	step, _ := Step.Of(wb)
	return wb.ID() + "." + step
}

// State are the claims of a booking by name, as JSON. A nil waybill has none.
type State map[string]json.RawMessage

// StateOf returns the booking's claims in wb.
func StateOf(wb *waybill.Waybill) State {
	if wb == nil {
		return nil
	}
	var all State
	if err := json.Unmarshal(wb.Payload(), &all); err != nil {
		panic(err) // a waybill was verified: its payload is JSON
	}
	state := make(State, len(Claims))
	for _, c := range Claims {
		if v, ok := all[c.Name()]; ok {
			state[c.Name()] = v
		}
	}
	return state
}

var cell = regexp.MustCompile(`^[a-z0-9-]{1,16}$`)

// Subject returns where the prices of a cell are asked for. A claim comes from a token and could
// hold dots and wildcards, so it is checked to be one token of a NATS subject before it becomes
// part of one.
func Subject(name string) (string, error) {
	if !cell.MatchString(name) {
		return "", fmt.Errorf("trip: %q is not the name of a cell", name)
	}
	return "pricing." + name, nil
}
