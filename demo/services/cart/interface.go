// Package cart knows the flights, and puts what the traveller picks into the waybill: gRPC, one
// method streaming. It keeps nothing, so any replica can take the next call.
package cart

// Item is a flight or a hotel.
type Item struct {
	Flight string `json:",omitempty"`
	Hotel  string `json:",omitempty"`
}

const name = "demo.Cart"

// query and offer are the messages of the streaming method.
type query struct{ To string }

type offer struct{ Flight string }
