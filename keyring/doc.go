// Package keyring holds the keys of one trust domain.
//
// The ordinary path is a JWK Set in a file, made by "waybill keys new" and readable by the service alone:
//
//	ring, err := keyring.LoadFile(ctx, "/etc/waybill/ring.jwks")
//	if err != nil { … }
//	defer ring.Close()
//
// The file is polled; a new one replaces the keys of the running process, a broken one changes nothing and is logged.
//
// Where keys shall look after themselves, the ring is sealed and lies in a [Store]. An operator creates it once, with
// [Create]; from then on the nodes rotate it among themselves, by the times of a [Policy]:
//
//	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.Cache("/var/cache/orders/ring"))
//
// Such a ring only grows: what the store has is united with what the process knows, so that neither an old copy nor an
// empty store takes keys away, and what the store lost is put back. What cannot be read or unsealed changes nothing.
// [Open] with [Wrapped] follows such a ring without changing it. [Ring.Ready] and [Ring.Stats] say how it stands.
//
// A [Key] is immutable and has one algorithm. Its kid is derived from the key and its times, so two keys never share a
// name. A [Set] is an immutable collection of keys. A [Ring] holds the current Set and swaps it as a whole: readers
// take one atomic load, never a lock.
//
// What a key may do follows from its times and the clock; nobody flips a state. Every key in the ring opens tokens,
// also one whose time to issue has not come, until it expires. The newest one whose time has come issues. So a node
// whose clock is late or that has not yet seen the next rotation still opens every token of the others. A node of a sealed
// ring prefers keys that it has held for a while, in touch with the store: see [Ring.Active].
//
// Whoever holds a secret key of a ring can issue tokens with it. Keep one ring per trust domain.
package keyring
