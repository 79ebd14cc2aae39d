// Package waybill carries a journey's routing state in a token that travels with the request, so that no service keeps a
// session.
//
// The ordinary path: declare the claims once, open the key ring, make an [Authority], and hand it to the transports.
//
//	var Cell  = waybill.NewClaim[string]("cell")
//	var Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
//
//	ring, err := keyring.LoadFile(ctx, "/etc/waybill/ring.jwks")
//	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
//
//	handler := waybillhttp.Middleware(auth)(mux) // and waybillgrpc, waybillnats, waybilljetstream
//
// A handler reads verified claims from its context and changes them there. The change travels on with the calls it makes
// afterwards, and back to the client with the response:
//
//	cell, ok := Cell.Get(ctx)
//	err := waybill.Update(ctx, Seats.To(2))
//
// A token is signed by default: the client may read it, not change it. [Sealed] hides it from the client, [PublicKey] lets
// services verify that cannot issue.
//
// Waybill is not authentication, not a store, and not a secret between the services of one ring. A token is good until it
// expires, also in the hands of a thief, and a client may replay an older one of its journey: claims say where a request
// should go, they hold no balances and no one-time flags.
package waybill
