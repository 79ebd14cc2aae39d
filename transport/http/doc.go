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
// The changed token is returned in the header Waybill-Update, whatever the status. Headers are sent
// with the first byte, so change claims before writing. Later changes fail with
// [waybill.ErrTooLate], unless the token can be returned in a trailer. For that the request must
// come from a [Transport], which sends "Waybill-Hop: 1" and "TE: trailers", and the response must be
// HTTP/2, or HTTP/1.1 in chunks, must have a body, and must not be storable by a cache. TE alone is
// not enough: browsers send it too, and show no trailers to scripts.
//
// A response with a token has Cache-Control: no-store, and the same value in every other field that
// controls caches, such as CDN-Cache-Control, Surrogate-Control, X-Accel-Expires and Expires. Other
// responses to GET and HEAD have Vary: Waybill, because the handler may have used the claims. Use
// [Skip] for files that do not depend on them.
//
// The headers of a response with the token have at most 4 KiB; see [HeaderBudget]. A token that does
// not fit is left out. This never changes the response itself.
//
// A handler that panics returns no token. A handler that hijacks the connection returns none
// either, unless it first writes the status 101, or sends the header that [UpgradeHeader] returns.
// A proxy of upgrades needs a [Transport], which removes the header of the upstream's response.
// Browsers hide the header from scripts of other origins unless Access-Control-Expose-Headers names
// it.
//
// The handler's writer has the usual methods of the server's writer, and the method Unwrap. Handlers
// find other interfaces, such as http3.HTTPStreamer, as [http.ResponseController] does:
//
//	for {
//		if s, ok := w.(http3.HTTPStreamer); ok {
//			return s.HTTPStream()
//		}
//		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
//		if !ok {
//			return nil
//		}
//		w = u.Unwrap()
//	}
//
// Write the header of the response before taking over the stream: the token is returned there.
//
// The middleware opens a token once, however it is nested with itself and with OpenTelemetry's
// instrumentation. A layer between two middlewares may replace the request's header map if it keeps
// the request's context, and passes on the writer or a wrapper with the method Unwrap. Otherwise the
// inner one takes the request for a new request without a waybill. Install the middleware outside
// [http.TimeoutHandler] and inside any recovery middleware.
//
// A gRPC response, as written by connect-go and by the ServeHTTP method of grpc-go, returns the
// token in the trailer only, where gRPC clients look for it, and its gRPC status decides whether
// the call failed. A refused call of gRPC or gRPC-Web gets the status that package waybillgrpc
// uses. gRPC-Web and Connect are otherwise like other responses: changes after the first message of
// a stream are returned only to a [Transport].
//
// # Edge
//
// An [Edge] is the server side for clients that are not services: browsers, scripts, native programs. It
// begins the journey of a client that has none, resumes it after a pause, merges what parallel requests
// changed, and renews the token before it expires. A client holds several tokens for a moment when it
// sends several requests at once. It follows one rule: send every token that you hold; the token of an
// answer replaces the tokens that its request carried; an empty token only removes them.
//
//	edge, err := waybillhttp.NewEdge(auth, waybillhttp.Cookies(), waybillhttp.StartWith(start))
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe(addr, edge.Middleware(mux))
//
// There are three ways to hold tokens:
//
//   - [Cookies]: browsers follow the rule without a script, and all tabs share one journey. An edge uses
//     192 tokens of a request, and 96 KiB.
//   - The header Waybill, which is the default: a list of tokens. An empty header says that the client
//     has none yet. The answer is the header Waybill-Update. An edge uses 32 tokens, and 32 KiB.
//   - [Pages]: links, forms and redirects carry one token, without cookies and scripts.
//
// If a request has both, cookies win, and the other tokens are counted as ignored. Requests of the header
// carrier that a script's fetch follows through a redirect get their update in the Location too, as the
// parameter "waybill", because the script never sees the redirect. The edge removes the parameter.
//
// No token is refused for being useless: the answer forgets it, and the client begins a new journey, in
// which [waybill.Previous] tells what the old one held. With [Required] the status is 401 instead, and
// the tokens are forgotten as well. While keys are not available the status is 503, and nothing is
// forgotten. [Unusable] sets the page of a refusal. Handlers call [waybill.Begin] at a login and
// [waybill.End] at a logout.
//
// With Cookies, [http.CrossOriginProtection] refuses requests of other origins' pages that can change
// something, WebSocket handshakes included; [CrossOrigin] sets other rules. The header needs no
// protection, because a browser asks first: a script of another origin needs a CORS middleware outside of
// the edge that allows the header Waybill and exposes Waybill-Update.
//
// The response to a client on a journey is not stored by shared caches: Cache-Control gets "private" if
// the handler allows storage, and the fields for CDNs forbid it. Next to a token it is no-store. Every
// other response to GET and HEAD has Vary, with Cookie where cookies are used.
//
// Cookies cannot change after the header was sent, so [waybill.Update] then returns [waybill.ErrTooLate].
// A response that can last begins with a renewal, so that its client has a whole life: a stream of events,
// an upgrade, and one that is flushed before its first byte. An answer that takes longer than the life of
// a token brings none.
//
// A [Transport] is no client in this sense: an Edge handles a request with Waybill-Hop and a waybill as a
// Server does. The header gives no right to anyone. Handlers do not see it.
//
// # Proxies in front of an edge
//
// nginx accepts 8 KB of cookies with default settings, which is about 12 parallel changes. For more, set
// large_client_header_buffers to 4 64k. The answer's header stays within [HeaderBudget]; cookies that
// there is no room to remove are removed by later answers.
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
// Close of a response body that was not read to its end reads on for at most 64 KiB and 50 ms to
// find a trailer. If the end is further away, a token may be lost: it is counted as "unread".
//
// A waybill that exceeds the header limit that an HTTP/2 server announced is left out, if the
// request's body can be sent again; this is logged and counted as "too_large". Other servers answer
// with status 431, or close the connection.
//
// A plain http request, which needs [AllowPlaintext], shows its waybill to an HTTP proxy; an https
// request does not. The Request of a response is the caller's, without the token.
//
// Pass a transport that traces or retries as the base, so that all attempts of a call carry the
// same token. Traces of package httptrace in the request's context see the value "[redacted]". A
// base that adds such a trace itself, such as otelhttp with otelhttptrace, must send its requests
// through [Redacted].
//
// # Logs
//
// Add the headers Waybill and Waybill-Update to the redaction lists of proxies, CDNs, application
// monitoring and access logs: outside the middleware, and on the wire, they contain the tokens. At an
// edge, so do the cookies whose names begin with __Host-wb-, and the parameter "waybill" of a URL, with
// [Pages] and after a redirect.
//
// The integration tests are in internal/integration/http, internal/integration/connect and
// internal/integration/gateway.
package waybillhttp
