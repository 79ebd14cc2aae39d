// Package waybillhttp carries waybills over HTTP: a middleware that opens, judges and strips what a request brings, and a
// client transport that sends the waybill along and takes back what the other side made of it.
//
// The ordinary path is one line on each side:
//
//	handler := waybillhttp.Middleware(auth)(mux)
//	client := &http.Client{Transport: waybillhttp.NewTransport(auth, nil, waybillhttp.AllowHosts("*.shop.internal"))}
//
// Handlers then read and change claims in the context of their request, and pass that context to their calls. The service
// that clients talk to adds [Edge], which begins journeys and renews them.
//
// # On the server
//
// An invalid waybill is refused; an absent one passes unless [Required] or [RequireClaims] says otherwise. A refusal is
// problem details (RFC 9457) with the stable reason that [waybill.Reason] names as the member "reason"; the cause stays
// here. The status is 401 with a challenge of the scheme "Waybill", 403 if a required claim is missing, 400 for what is not
// one well-formed token, 431 for a token that is too large, and 503 with Retry-After if the keys are not at hand.
//
// The handler sees a request without the token, so that a proxy which copies its headers does not pass it on. The original
// request is not touched: a middleware further out still sees the token, and should not log it.
//
// A change travels back in the header Waybill-Update, whatever the status, with Cache-Control: no-store. The header ends
// with the first byte: make changes before it. Later ones get [waybill.ErrTooLate], unless the client asked for trailers
// with "TE: trailers", as [Transport] does, and the response can have one: over HTTP/2, or in chunks over HTTP/1.1, with a
// body, and not declared cacheable. A handler that panics sends nothing back. Neither does one that hijacks the connection,
// unless it writes the status 101 first, or sends what [UpgradeHeader] returns; a proxy of upgrades needs a [Transport] to
// keep an upstream's header from the client. Browsers hide the header from scripts of other origins unless
// Access-Control-Expose-Headers names it.
//
// A response of gRPC, as connect-go and the ServeHTTP method of grpc-go give it, brings its changes in the trailer alone,
// where gRPC's clients look, and its status decides whether the call failed; a refused call of gRPC or gRPC-Web gets the
// status that package waybillgrpc gives. gRPC-Web and Connect are like other responses: what a stream of theirs changes
// after its first message needs a client that asks for trailers.
//
// The middleware opens a token once, however it is nested with itself and with OpenTelemetry's instrumentation, in any
// order, as long as nothing between replaces the request's header map. Stand it outside of [http.TimeoutHandler] and inside
// of recovery.
//
// # On the client
//
// A waybill goes to approved hosts only, over https unless [AllowPlaintext] says otherwise. Each redirect is approved anew.
// Any other request, also one to which the application gave the header by hand, goes out without. An update comes out of
// every response, and is merged, if the request carried a waybill, before RoundTrip returns; that of a trailer before the
// reader of the body sees its end. What was refused is in [waybill.Lost] of the request's context; the response is what it
// would have been.
//
// Wrap a transport that adds tracing or retries: then a call has one token over all its attempts.
package waybillhttp
