// Package keyring manages the keys of one trust domain.
//
// Typical use is a JWK Set in a file, made by "waybill keys new" and readable by the service only:
//
//	ring, err := keyring.LoadFile(ctx, "/etc/waybill/ring.jwks")
//	if err != nil { … }
//	defer ring.Close()
//
// The file is polled. A new file replaces the keys of the running process; a broken file changes
// nothing and is logged.
//
// For automatic rotation, keep the ring sealed in a [Store]. An operator creates it once, with
// [Create]; from then on the nodes rotate its keys by the times of a [Policy]:
//
//	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.Cache("/var/cache/orders/ring"))
//
// The keys of such a ring in a process only grow: the process unites the ring in the store with the
// ring it has, so that neither an old copy nor an empty store takes keys away, and puts back keys
// that the store lost. A ring that cannot be read or unsealed changes nothing. [Follow] with
// [Wrapped] follows such a ring without changing it. [Ring.Ready] reports whether the ring can
// serve, [Ring.Stats] returns its figures.
//
// A [Key] is immutable and has one [Protection]. Its kid is derived from the key and its times, so
// two keys never share a kid. A [Set] is an immutable collection of keys. A [Ring] contains the
// current Set and replaces it as a whole: readers need one atomic load and no lock.
//
// A key's state is derived from its times and the clock; it is never set. Every key in the ring
// opens tokens until it expires, even before its NotBefore. The key with the latest NotBefore that
// has passed issues. So a node with a late clock, or one that has not seen the next rotation yet,
// still opens every token of the other nodes. In a sealed ring a node prefers keys that it and the
// store have had for a while: see [Ring.Active].
//
// Anyone who has a secret key of a ring can issue tokens with it. Keep one ring per trust domain.
//
// Integration tests: internal/integration/natskv, internal/integration/cli and
// internal/integration/readme.
package keyring
