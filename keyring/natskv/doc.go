// Package natskv stores rings in a NATS JetStream key-value bucket, so that every node of a domain
// has the same keys and any of them can add the next key.
//
// An operator makes the bucket once, with [Create]. Each node opens its domain's ring in it:
//
//	store, err := natskv.New(nc, "waybill", "shop")
//	if err != nil { … }
//	ring, err := keyring.Follow(ctx, store, …) // or keyring.Maintain, which also rotates
//
// The bucket only distributes the ring: JetStream can lose a write that it acknowledged, so nodes
// keep their keys in memory and put back what the bucket lost. Reads are answered by the leader of
// the bucket's stream, never by a replica that may lag. The server republishes each change, without
// its value, to the subject of [NudgeSubject]; these messages and new connections are the nudges.
// The package uses no watchers and no consumers.
//
// With [Store.Answer] a node reports the state of its ring to operators who ask. [OldestMessage]
// keeps the keys of messages that wait in a stream for longer than expected.
//
// A node needs these permissions, for the bucket B and the domain D in the form of [Key]. A node
// that only follows does not need the last one. [Store.Answer] also needs waybill.status.B.> and
// allow_responses.
//
//	subscribe  _INBOX.>  waybill.nudge.B.>
//	publish    $JS.API.STREAM.INFO.KV_B  $JS.API.STREAM.MSG.GET.KV_B
//	publish    $KV.B.ring.D
//
// Integration tests: internal/integration/natskv.
package natskv
