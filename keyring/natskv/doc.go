// Package natskv keeps rings in a NATS JetStream key-value bucket, so that every node of a domain has the same keys and
// any of them may add the next one.
//
// The ordinary path: an operator makes the bucket once, with [Create]; each node opens its domain's ring in it.
//
//	store, err := natskv.New(nc, "waybill", "shop")
//	if err != nil { … }
//	ring, err := keyring.Follow(ctx, store, …) // follows; keyring.Maintain rotates, too
//
// The bucket is a courier, not the truth: JetStream can lose what it acknowledged, so whoever follows a store keeps its
// keys in memory and puts back what the bucket lost. Reads are answered by the leader of the bucket's stream, never by a
// replica that may lag. The server republishes each change, without its value, to the subject of [NudgeSubject]; that,
// and a new connection, are the nudges. No watcher and no consumer is used.
//
// With [Store.Answer] a node tells operators who ask how its ring stands. [OldestMessage] keeps the keys of messages that
// wait in a stream for longer than they should.
//
// A node needs these permissions, for the bucket B and the domain D as [Key] spells it; a node that only follows does
// without the last of them, and [Store.Answer] needs waybill.status.B.> and allow_responses besides:
//
//	subscribe  _INBOX.>  waybill.nudge.B.>
//	publish    $JS.API.STREAM.INFO.KV_B  $JS.API.STREAM.MSG.GET.KV_B
//	publish    $KV.B.ring.D
package natskv
