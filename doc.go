// Package waybill carries a journey's routing state in a token that travels with the request, so that no
// service keeps a session.
//
// Declare the claims once, load the key ring, make an [Authority], and pass it to the transports:
//
//	var Cell  = waybill.NewClaim[string]("cell")
//	var Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
//
//	ring, err := keyring.LoadFile(ctx, "/etc/waybill/ring.jwks")
//	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
//
//	edge, err := waybillhttp.NewEdge(auth, waybillhttp.Cookies()) // for browsers
//	handler := edge.Middleware(mux)
//
// A handler reads verified claims from its context and changes them there. The change is sent with the
// calls it makes afterwards, and goes back to the client with the response:
//
//	cell, ok := Cell.Get(ctx)
//	err := waybill.Update(ctx, Seats.To(2))
//
// A token is [Signed] by default: the client can read it, and cannot change it. [Sealed] hides it from the
// client. [Public] lets services verify tokens that they cannot issue. See [Protect].
//
// Waybill is not authentication, not a store, and not a secret between the services of one ring. A token
// is good until it expires, also in the hands of a thief, and a client may replay an older token of its
// journey: claims say where a request should go, and hold no balances and no one-time flags.
//
// The names of this package serve three kinds of readers.
//
// # For handlers
//
// A handler needs a [Claim] and its context: [NewClaim], [Claim.Get], [Claim.Lookup], [Update],
// [FromContext] and the [Waybill] it returns. The merge rules are [Max], [Min] and [Union]. Work that
// outlives its request uses [Detach]. A handler of durable messages uses [Reissue], or [Authority.Join]
// for a batch. [Lost] reports changes that did not come back, and [Without] hides the waybill.
//
// A handler at an edge ends the client's journey with [End], as a logout does, and begins another with
// [Begin], as a login does. [Began] reports that a request is the first one of its journey, and [Previous]
// returns the journey that was over.
//
// # For services
//
// A service makes one [Authority] with [New], and [Option] values such as [Claims], [Protect] and [Life].
// The reasons why a request has no waybill are errors such as [ErrExpired]; [Reason] returns their stable
// names and [ClassOf] their meaning for the peer. Package keyring has the keys, the packages below
// transport carry waybills over HTTP, gRPC, NATS and JetStream, package propagation has the OpenTelemetry
// propagator, and package waybilltest helps to test handlers.
//
// # For carriers
//
// The author of another transport needs [Authority.Receive] and [Hop] on the server side, and
// [Authority.Send], [Call] and its [Call.Merge] on the client side. An edge uses [Authority.ReceiveClient]. CONTRIBUTING.md has a complete
// example, and waybilltest.CheckCarrier checks the result. The transports of this module use the same
// calls and no others.
//
// Integration tests over real servers: internal/integration.
package waybill
