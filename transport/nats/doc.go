// Package waybillnats carries waybills over NATS: in messages, requests, their replies, and services of package micro.
//
// The ordinary path: wrap the handler, and send with the functions of this package.
//
//	sub, err := nc.QueueSubscribe("quotes", "pricing", waybillnats.Handler(auth, nc, quote))
//
//	func quote(ctx context.Context, m *waybillnats.Msg) {
//		cell, ok := Cell.Get(ctx)
//		err := waybill.Update(ctx, Seats.To(2))
//		err = m.Respond(price)
//	}
//
//	err := waybillnats.Publish(ctx, nc, msg)
//	reply, err := waybillnats.Request(ctx, nc, msg)
//	for reply, err := range waybillnats.RequestMany(ctx, nc, msg) // of all who answer
//
// To call [Publish] or [Request] is the permission to put the waybill on the wire; [AllowSubjects] narrows it where an
// account imports subjects of others. They send a copy: the message and its header map stay the caller's.
//
// # The way back
//
// A request's answer brings the changes that the handler made, and [Request] merges them into the caller's context.
// [Msg.Respond], [Msg.RespondMsg] and the methods of a micro request send what has changed up to then; several
// answers each bring what changed since the one before. The hop ends when the handler returns: an answer after that
// carries no update, and a [waybill.Update] after that fails with [waybill.ErrCommitted]. A handler that leaves the
// answer to a goroutine therefore sends no changes back, and what it changed is counted as too_late. A panic discards
// the changes. A published message has no way back. [RequestMany] merges the answers of all, in whatever order they come.
//
// An answer never fails because of its update: if it would be over the server's max_payload, it goes without, and the
// update is counted as too_large. The statistics of a micro endpoint then count an error as well.
//
// # Names of headers
//
// NATS tells the cases of header names apart. This package writes "Waybill" and "Waybill-Update" and reads any
// spelling; more than one value, under whatever spellings, is refused. OpenTelemetry's HeaderCarrier misses the
// lower-case names that other languages write; [Carrier] does not.
//
// A connection to a server without header support cannot carry a waybill: sending one returns
// [nats.ErrHeadersNotSupported], and does not send the message without it. Messages without a waybill are not affected,
// but an answer goes without its update, and a refusal, which is all headers, not at all: the caller waits in vain.
//
// # Refusals
//
// A message whose waybill is invalid, or absent although [Required], does not reach the handler. A request is
// answered in the manner of package micro: Nats-Service-Error-Code is 400, 401, 403 or 503, [HeaderReason] has the
// stable reason, such as "expired", and the body is empty.
package waybillnats
