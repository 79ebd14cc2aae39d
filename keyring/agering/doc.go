// Package agering keeps a ring sealed to the services of a trust domain, so that it can lie in a bucket, a Secret, a git
// repository or a file that others can read.
//
// The ordinary path of a service is its identity, the operator's root, and a store:
//
//	id, err := agering.LoadIdentity("/etc/waybill/identity")
//	…
//	roots, err := agering.ParseRoots("waybill-root:4dP…")
//	…
//	wrapper, err := agering.New("shop", id, roots)
//	…
//	ring, err := keyring.Follow(ctx, source, keyring.Wrapped(wrapper), keyring.Domain("shop"))
//
// An [Identity] is made once for a service, by "waybill keys identity new", and never leaves it; its public line goes to
// the operator. The operator lists the members in a [Roster] and signs it with a [Root] that stays offline. The public
// half of the root stands in the configuration of every service and is all that has to be trusted beforehand.
//
// A sealed ring is an age file to all members: age hides it, and does not say who wrote it. So the writer signs it, and
// readers accept only a writer whom the roster allows to propose. The roster itself travels with the ring; one that is
// older than the newest known is never taken, and after its end nothing under it is.
//
// # What follows
//
// Who can write to the store but is no member can destroy the ring there, and neither read it nor change it. An old ring
// that is put in its place is recognised by its roster or its epoch, and the members that may propose write over it.
//
// A service that leaves is left out of the next roster; it opens no ring written from then on. It still has the keys that
// it knew, so they must expire or be revoked. Who may not revoke can carry revocations on and add none.
//
// Raising the epoch of the roster burns every key made before, also those that only a single node ever saw: see
// [Roster.Epoch].
//
// A process that starts without memory takes the roster that it meets first, if it has not ended. Give rosters an end,
// and let services remember with [LoadSeqGuard].
//
// Members are services, not processes: all processes of a service share one identity.
package agering
