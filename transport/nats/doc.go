// Package waybillnats carries waybills over NATS: in messages, in requests and their replies, and
// in services of package micro.
//
// Typical use: make a Conn, handle messages with its handlers, and send with its methods.
//
//	conn, err := waybillnats.New(auth, nc)
//	sub, err := nc.QueueSubscribe("quotes", "pricing", conn.Handler(quote))
//
//	func quote(ctx context.Context, m *waybillnats.Msg) {
//		cell, ok := Cell.Get(ctx)
//		err := waybill.Update(ctx, Seats.To(2))
//		err = m.Respond(price)
//	}
//
//	err := conn.Publish(ctx, msg)
//	reply, err := conn.Request(ctx, msg)
//	for reply, err := range conn.RequestMany(ctx, msg, waybillnats.Replies{}) // the replies of all services
//
// To call Publish or Request is the permission to send the waybill. [OnlySubjects] narrows it where
// an account imports subjects of other accounts. The methods send a copy: the caller's message and
// its header map do not change.
//
// # Returned changes
//
// The answer to a request returns the changes that the handler made, and [Conn.Request] merges them
// into the caller's context. [Msg.Respond], [Msg.RespondMsg] and the methods of a micro request
// send all changes made before the call; of several answers, each sends the changes made since the
// one before. The hop ends when the handler returns. A later answer returns no changes, and a later
// [waybill.Update] fails with [waybill.ErrCommitted]. So a handler that leaves the answer to a
// goroutine returns no changes; those it made are counted as too_late. After a panic the changes
// are discarded. A published message returns nothing. [Conn.RequestMany] merges the returned tokens
// of all answers, in any order.
//
// An answer never fails because of the returned token. If the answer would exceed the server's
// max_payload, it is sent without the token, which is counted as too_large. The statistics of a
// micro endpoint then also count an error.
//
// A request names the subject of its replies, so changes are returned to inboxes only: see
// [OnlyReplies] for what counts as one. An answer to another subject is sent without the returned
// token, which is counted as suppressed.
//
// # Messages that are too large
//
// A message that exceeds the server's max_payload only because of what this package adds is sent
// without it: first without the trace, then without the waybill. The latter is counted as too_large,
// in addition to sent, and logged. Without a waybill, a request brings no changes back.
//
// # Traces
//
// With OpenTelemetry, traces continue over NATS. Publish, Request and RequestMany start a producer
// or client span and inject its context into the message; handlers extract it and start a consumer
// span, or a server span if the message waits for an answer. The propagators are the global ones,
// and so is the provider unless [TracerProvider] names another. Names and attributes follow the
// semantic conventions of messaging: the destination of a handler's span is the subject of its
// subscription, and inboxes are not named. The handler's span has the attributes waybill.outcome,
// waybill.sid and waybill.kid, and the claims that [waybill.Traced] lists. Without an SDK no spans
// are started, and nothing is allocated. [WithoutTraces] switches all of this off.
//
// The global propagators also write the baggage of a context into each message, whatever
// [OnlySubjects] says about the waybill.
//
// A handler's context is made from [BaseContext], which has no part in the trace. Handlers may
// extract again, also with a propagator that includes waybillprop:
//
//	ctx = otel.GetTextMapPropagator().Extract(ctx, waybillnats.Carrier(m.Header))
//
// The context keeps its waybill, although the waybill's headers were removed from the message.
//
// The server's own message tracing publishes the headers of a message in trace events. This package
// prevents that for messages and answers with a token: it removes the header Nats-Trace-Dest, counts
// the message as untraced, and writes the value that disables tracing if the message has a trace
// context, which makes the server use the destination in the account's msg_trace. A message with
// Nats-Trace-Only, which is delivered to nobody, keeps its headers and carries no waybill. Messages
// without a token are traced as always.
//
// # Header names
//
// NATS distinguishes the case of header names. This package writes "Waybill" and "Waybill-Update"
// and reads any spelling. More than one value, under any spellings, is refused. OpenTelemetry's
// HeaderCarrier does not find the lower-case names that other languages write; [Carrier] does.
//
// A connection to a server without header support cannot carry a waybill: sending one fails with
// [nats.ErrHeadersNotSupported], and the message is not sent. Messages without a waybill are not
// affected. Answers are sent without the returned token. A refusal consists of headers only, so it
// is not sent: the caller waits until its deadline.
//
// # Refusals
//
// A message whose waybill is invalid, or absent although [Required], does not reach the handler. A
// request gets an answer as from package micro: Nats-Service-Error-Code is 400, 401, 403 or 503,
// [HeaderReason] contains the stable reason, such as "expired", and the body is empty.
//
// The integration tests, against a real server, are in internal/integration/nats.
package waybillnats
