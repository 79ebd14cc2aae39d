// Package waybilljetstream carries waybills with durable messages, over streams of NATS JetStream.
//
// The ordinary path: publish with this package, and consume with it.
//
//	ack, err := waybilljetstream.Publish(ctx, js, msg)
//
//	run, err := waybilljetstream.Consume(ctx, auth, consumer, ticket,
//		waybilljetstream.DeadLetter(js, "dead.tickets"))
//
//	func ticket(ctx context.Context, m jetstream.Msg) error // nil acks, an error naks with backoff, ErrTerm terminates
//
// Where messages come from Fetch, Next or Messages, [Open] and [Settle] do the same for one message at a time.
//
// # Judged as of the stored time
//
// The time that a message waits in a stream is not the sender's fault, so its waybill is judged as of the time at
// which the server stored it, which no client can set. Only revoked keys are judged as of now. The keys must
// therefore stay in the ring for the life of a token plus the MaxAge of the stream, after they issued their last one.
//
// When the handler runs, the waybill may have expired. Its claims can be read; to send it on, it needs a new life:
//
//	ctx, err := waybill.Reissue(ctx)
//
// Without that, the transports refuse to send it, here and not at the peer. A durable message has no way back:
// changes of claims travel on only. Redelivery is not a replay: each delivery is opened anew. A handler that does one
// thing for a batch of messages joins their waybills into one, with [waybill.Authority.Join].
//
// A mirror keeps the stored time. A source and a schedule replace it by that of their own storing, so a message of
// theirs may come too late: see [Grace].
//
// # What each outcome gets
//
//	opened                               the handler; then as it says
//	absent                               the handler without claims; with Required, refused
//	invalid, or lacks a required claim   dead letter if DeadLetter is set, then Term with the reason
//	keys not loaded, or key unknown to   held: the server is told that work is in progress, and the
//	a ring that may be out of date       message is opened as soon as the ring can tell
//
// A held message is not Nak'ed, and so does not use up the consumer's MaxDeliver while the key store is down. A
// message with an unknown key is refused once the ring was confirmed more than 5 s after the message was stored; the 5 s
// are for clocks that differ. A message that the server stored ahead of this node's clock, beyond the leeway, is held
// until the clock is there. A delivery is used up by each restart of the consumer while the message is held, as by any
// crash: leave room for that in MaxDeliver.
//
// Term removes a message from a stream with work-queue or interest retention. Set [DeadLetter] to keep a copy, and
// consume that with [Redrive] to try it again.
//
// Consumers that do not acknowledge, such as ordered ones, have no Term and no Nak: [Open] holds a message as always, and
// one that it refuses is to be dropped. [Settle] then makes its dead letter; what it tells the server has no effect.
//
// Terminating with a reason needs nats-server 2.10.4.
package waybilljetstream
