// Package agering seals a key ring to the services of a trust domain, so that the ring can be
// stored in a bucket, a Secret, a git repository or a file that others can read.
//
// A service typically needs its identity, the operator's root, and a store:
//
//	id, err := agering.LoadIdentity("/etc/waybill/identity")
//	…
//	roots, err := agering.ParseRoots("waybill-root:4dP…")
//	…
//	wrapper, err := agering.New("shop", id, roots)
//	…
//	ring, err := keyring.Follow(ctx, source, keyring.Wrapped(wrapper), keyring.Domain("shop"))
//
// An [Identity] is made once for a service, by "waybill keys identity new", and never leaves it;
// its public line goes to the operator. The operator lists the members in a [Roster] and signs it
// with a [Root] that stays offline. Every service has the public half of the root in its
// configuration, and trusts nothing else beforehand.
//
// A sealed ring is an age file to all members. Age encrypts it but does not prove who wrote it, so
// the writer signs it, and readers accept only a writer that the roster allows to propose. The
// roster is stored with the ring. A roster older than the newest known one is never accepted, and
// neither is any ring under a roster that has expired.
//
// # Consequences
//
// Someone who can write to the store but is not a member can delete the ring, but can neither read
// nor forge it. If an old ring is put in its place, readers recognise it by its roster or its
// epoch, and members that may propose overwrite it.
//
// A service that leaves is removed from the next roster; it cannot open rings written from then on.
// It still has the keys that it knew, so they must expire or be revoked. Members that may not
// revoke copy existing revocations and cannot add new ones.
//
// Raising the epoch of the roster burns every key made before, including keys that only one node
// ever saw: see [Roster.Epoch].
//
// A process that starts without memory accepts the first roster that it reads, unless it has
// expired. Give rosters an end, and let services remember the newest roster with [LoadSeqGuard].
//
// Members are services, not processes: all processes of a service share one identity.
//
// Integration tests: internal/integration/natskv, internal/integration/cli and
// internal/integration/readme.
package agering
