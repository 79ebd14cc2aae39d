// Package waybillhttp carries waybills over HTTP. A middleware opens the waybill of each request
// and sends back what the handler changed. A client transport sends the waybill with each request
// and merges what comes back.
//
// Typical use, in a service:
//
//	server, err := waybillhttp.NewServer(auth)
//	if err != nil {
//		return err
//	}
//	transport, err := waybillhttp.NewTransport(auth, nil, waybillhttp.AllowHosts("*.shop.internal"))
//	if err != nil {
//		return err
//	}
//	client := &http.Client{Transport: transport}
//	return http.ListenAndServe(addr, server.Middleware(mux))
//
// Handlers read and change claims in the context of their request, and pass that context to the
// client. The service that clients talk to uses [NewEdge] instead of [NewServer].
//
// # Server
//
// A request with an invalid waybill is refused. A request without one is admitted, unless
// [Required] or [RequireClaims] is set. A refusal is a problem details document (RFC 9457), whose
// member "reason" is the name that [waybill.Reason] gives. It does not contain the cause. The
// status is
//
//   - 401 with a challenge of the scheme "Waybill", in most cases,
//   - 403 if a required claim is missing,
//   - 400 if the request does not carry exactly one well-formed token,
//   - 431 if the token is too large,
//   - 503 with Retry-After if the keys are not available.
//
// The handler sees a request without the token, so that a proxy which copies headers does not
// forward it. The original request is not changed: an outer middleware still sees the token, and
// should not log it.
//
// The changed token is returned in the header Waybill-Update, whatever the status, with
// Cache-Control: no-store. Headers are sent with the first byte, so change claims before writing.
// Later changes fail with [waybill.ErrTooLate], unless the token can be returned in a trailer. For
// that the client must send "TE: trailers", as [Transport] does, and the response must be HTTP/2,
// or HTTP/1.1 in chunks, must have a body, and must not be declared cacheable.
//
// A handler that panics returns no token. A handler that hijacks the connection returns none
// either, unless it first writes the status 101, or sends the header that [UpgradeHeader] returns.
// A proxy of upgrades needs a [Transport], which removes the header of the upstream's response.
// Browsers hide the header from scripts of other origins unless Access-Control-Expose-Headers names
// it.
//
// The middleware opens a token once, however it is nested with itself and with OpenTelemetry's
// instrumentation. Layers between two middlewares must not replace the request's header map: the
// inner one takes such a request for a new request without a waybill. Install the middleware
// outside [http.TimeoutHandler] and inside any recovery middleware.
//
// A gRPC response, as written by connect-go and by the ServeHTTP method of grpc-go, returns the
// token in the trailer only, where gRPC clients look for it, and its gRPC status decides whether
// the call failed. A refused call of gRPC or gRPC-Web gets the status that package waybillgrpc
// uses. gRPC-Web and Connect are otherwise like other responses: changes after the first message of
// a stream are returned only to a client that accepts trailers.
//
// # Edge
//
// An [Edge] is a server that also begins a journey for a client that has none, and renews the
// client's waybill before it expires. The client sends the last waybill that it received as the
// header Waybill. [StartWith] sets the first claims of a journey.
//
// # Client
//
// A [Transport] sends waybills to hosts that [AllowHosts] approves, and over https only, unless
// [AllowPlaintext] is set. Each redirect is judged again. Any other request is sent without a
// waybill, even if the application set the header by hand. The returned token is removed from every
// response. If the request carried a waybill, the token is merged before RoundTrip returns, or,
// from a trailer, before the reader of the body sees its end. [waybill.Lost] reports why a token
// was rejected. A rejected token does not change the response.
//
// Pass a transport that traces or retries as the base, so that all attempts of a call carry the
// same token.
//
// The integration tests are in internal/integration/http, internal/integration/connect and
// internal/integration/gateway.
package waybillhttp
