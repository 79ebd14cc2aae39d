// Package payment takes the money: gRPC in, and a durable order out over JetStream, which takes the
// waybill along.
package payment

import "context"

// Payment is the service, as its callers see it and as it is implemented. Its decisions are in the
// waybill of ctx afterwards.
type Payment interface {
	// Quote sets the fee of a card.
	Quote(ctx context.Context, card string) error
	// Pay takes the total, places the order and sets the receipt. It may be repeated.
	Pay(ctx context.Context) error
}

const name = "demo.Payment"

type quote struct{ Card string }
