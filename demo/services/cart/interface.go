// Package cart knows the flights, and puts what the traveller picks into the waybill: gRPC, one
// method streaming. It keeps nothing, so any replica can take the next call.
package cart

import "context"

// Cart is the service, as its callers see it and as it is implemented. Its additions are in the
// waybill of ctx afterwards.
type Cart interface {
	// Flights tells each flight to a destination, as it is found, and makes it the journey's.
	Flights(ctx context.Context, to string, found func(flight string) error) error
	// Add puts a flight or a hotel into the cart, or takes its place.
	Add(ctx context.Context, item Item) error
}

// Item is a flight or a hotel.
type Item struct {
	Flight string `json:",omitempty"`
	Hotel  string `json:",omitempty"`
}

const name = "demo.Cart"

// query and offer are the messages of the streaming method.
type query struct{ To string }

type offer struct{ Flight string }
