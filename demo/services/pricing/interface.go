// Package pricing knows the prices of one cell: a NATS micro service that callers reach by a claim
// of the waybill.
package pricing

import "time"

// Ask names what is to be priced. Fields that are empty are taken from the waybill.
type Ask struct {
	Flight   string `json:",omitempty"`
	Hotel    string `json:",omitempty"`
	Currency string `json:",omitempty"`
}

// question is the message.
type question struct {
	Ask
	Until time.Time // when the caller gives up, and asks again
}

// Error is an answer that is a refusal.
type Error struct{ Code, Text string }

func (e *Error) Error() string { return "pricing: " + e.Text }

// The codes of an [Error].
const (
	BadAsk    = "400"
	Misrouted = "421" // the journey belongs to another cell
)
