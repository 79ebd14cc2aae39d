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
// # Propagators
//
// Handlers may extract a trace with a propagator that includes waybillprop, from the message's
// headers:
//
//	ctx = otel.GetTextMapPropagator().Extract(ctx, waybillnats.Carrier(m.Header))
//
// The context keeps its waybill, although the waybill's headers were removed from the message.
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
