// Package waybilljetstream carries waybills with durable messages, over streams of NATS JetStream.
//
// Typical use: make a JetStream, publish with it, and consume with it.
//
//	stream, err := waybilljetstream.New(auth, js, waybilljetstream.DeadLetter("dead.tickets"))
//
//	ack, err := stream.Publish(ctx, msg)
//
//	run, err := stream.Consume(ctx, consumer, ticket)
//
//	// ticket returns nil to ack, ErrTerm to terminate, and any other error to nak with a growing delay.
//	func ticket(ctx context.Context, m jetstream.Msg) error
//
// For messages from Fetch, Next or Messages, [JetStream.Open] and [JetStream.Settle] do the same
// for one message at a time.
//
// To call Publish or PublishAsync is the permission to send the waybill. [OnlySubjects] narrows it.
//
// # Judged at the stored time
//
// A sender cannot know how long its message waits in a stream, so the waybill is judged at the time
// the server stored the message, which no client can set. Only revoked keys are judged at the
// current time. The keys must therefore stay in the ring for the life of a token plus the MaxAge of
// the stream, after they issued their last token.
//
// When the handler runs, the waybill may have expired. Its claims can be read. To send it on, issue
// it again with a new life:
//
//	ctx, err := waybill.Reissue(ctx)
//
// Without that, the transports of this process refuse to send it. A durable message returns nothing
// to its sender: changes of claims travel only with the calls that the handler makes. Redelivery is
// not a replay: each delivery is opened anew. A handler that does one thing for a batch of messages
// joins their waybills into one, with [waybill.Authority.Join].
//
// A mirror keeps the stored time. A source and a schedule replace it by the time they store the
// message, at which the waybill may have expired: see [AcceptExpired].
//
// # Outcomes
//
//	opened                               the handler; then settled by its error
//	absent                               the handler without claims; refused if Required
//	invalid, or lacks a required claim   refused: a dead letter if DeadLetter is set, then Term with the reason
//	keys not loaded, or key unknown to   held: the server is told that work is in progress, and the message
//	a ring that may be out of date       is opened as soon as the ring can decide
//
// A held message is not Nak'ed, so no deliveries are used up while the key store is down. A message
// with an unknown key is refused once the ring has been confirmed more than 5 s after the message
// was stored; the 5 s allow for clocks that differ. A message that was stored ahead of this node's
// clock, by more than the leeway, is held until the clock reaches that time. Each restart of the
// consumer while a message is held uses up one delivery, as any crash does: leave room for that in
// MaxDeliver.
//
// Refusing deletes nothing by default. Term removes a message from a stream with work-queue or
// interest retention, so [JetStream.Consume] and [JetStream.Settle] want [DeadLetter] there, which
// keeps a copy, or [AllowLoss]. A JetStream without either looks up the stream's retention, for
// which it needs the permission to request $JS.API.STREAM.INFO. [JetStream.Redrive] tries the
// copies again. The first refusal of each reason is logged with the stream, the consumer, the
// sequence and the kid.
//
// If the first 20 waybills of a run are refused because their keys are unknown, the ring is
// probably the wrong one. The log says so once, and Consume holds further messages with unknown
// keys until it opens a waybill.
//
// # Limits of holding
//
// A held message counts against the consumer's MaxAckPending, and the server delivers nothing new
// when that is used up. So Consume holds messages with unknown keys, or from the future, only up to
// half of MaxAckPending, and up to half of that per key. Several processes that consume together
// lower their limits when the consumer is stalled. A message beyond the limit becomes a dead letter
// with the reason [ReasonUndecided], counts as undecided, and is logged once a minute at most:
// Redrive handles it when its key is known. Without DeadLetter such a message is Nak'ed with a
// growing delay, which makes no room: enough of them stall the consumer until they can be decided.
// A message at its last delivery is held beyond the limit instead, because the server would never
// deliver it again. If MaxAckPending is unlimited, the limit is 500, and it is left to the server.
//
// While no key is loaded at all, no other waybill could be decided either, and all messages are
// held.
//
// # Slow handlers and replicas
//
// While a handler runs, the server is told at every third of AckWait, and at least every 10 s, that
// work is in progress. Messages that wait in the client's buffer have no such sign: the server
// delivers them again, to another replica for example, and a message is then handled twice. If
// handlers are slow, let each replica fetch a message only when it has a free worker:
//
//	stream, err := waybilljetstream.New(auth, js, waybilljetstream.Workers(4), ...)
//	run, err := stream.Consume(ctx, consumer, ticket, jetstream.PullMaxMessages(1))
//
// # Ended journeys
//
// A message may wait longer than its journey lasts. Its claims can still be read, but
// [waybill.Reissue] returns [waybill.ErrExpired], and [waybill.Authority.Start] returns
// [waybill.ErrStarted], because the context is on a journey already. To go on with a new journey,
// leave the old one first:
//
//	fresh, err := auth.Start(waybill.Without(ctx), Cell.To(cell))
//
// # Traces
//
// With OpenTelemetry, traces continue over streams, as package waybillnats describes. Publish and
// PublishAsync start a producer span; the span of PublishAsync ends before the message is stored.
// Consume and Redrive run the handler in a consumer span, the child of the publisher's, whose
// destination is the stream. Open only extracts the trace, because it does not know when handling
// ends. [WithoutTraces] switches this off.
//
// # Message tracing
//
// A server that traces a message publishes all its headers in trace events. A message that is
// published with a waybill therefore loses its Nats-Trace-Dest and Nats-Trace-Only headers, and
// counts as untraced. A message with Nats-Trace-Only, which is delivered to nobody, keeps them and
// carries no waybill. A message with a waybill and a trace context, which makes the server use the
// destination in the account's msg_trace, gets the value of Nats-Trace-Dest that disables tracing.
// Dead letters get it as well.
//
// # Other consumers
//
// Consumers that do not acknowledge, such as ordered ones, have no Term and no Nak.
// [JetStream.Open] holds their messages as always, and the caller drops those that it refuses.
// [JetStream.Settle] then stores the dead letter; its answer to the server has no effect.
//
// Terminating with a reason needs nats-server 2.10.4.
//
// The integration tests, against a real server, are in internal/integration/nats.
package waybilljetstream
