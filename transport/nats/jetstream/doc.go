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
// A held message is not Nak'ed, so the consumer's MaxDeliver is not used up while the key store is
// down. A message with an unknown key is refused once the ring has been confirmed more than 5 s
// after the message was stored; the 5 s allow for clocks that differ. A message that was stored
// ahead of this node's clock, by more than the leeway, is held until the clock reaches that time.
// Each restart of the consumer while a message is held uses up one delivery, as any crash does:
// leave room for that in MaxDeliver.
//
// Term removes a message from a stream with work-queue or interest retention. Set [DeadLetter] to
// keep a copy, and consume the copies with [JetStream.Redrive] to try them again.
//
// Consumers that do not acknowledge, such as ordered ones, have no Term and no Nak.
// [JetStream.Open] holds their messages as always, and the caller drops those that it refuses.
// [JetStream.Settle] then stores the dead letter; its answer to the server has no effect.
//
// Terminating with a reason needs nats-server 2.10.4.
//
// The integration tests, against a real server, are in internal/integration/nats.
package waybilljetstream
