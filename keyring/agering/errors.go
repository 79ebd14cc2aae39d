package agering

import "errors"

// What is told apart with errors.Is. Other errors have no use but to be read. None of them quotes a secret.
var (
	ErrSignature   = errors.New("agering: the signature is wrong")
	ErrOldRoster   = errors.New("agering: the roster is older than one seen before")
	ErrExpired     = errors.New("agering: the roster has ended")
	ErrOldEpoch    = errors.New("agering: of an epoch that was burnt")
	ErrNotProposer = errors.New("agering: not a member that may propose")
	ErrNotRevoker  = errors.New("agering: not a member that may revoke")
	ErrNotMember   = errors.New("agering: this identity is not a member")
)

// What the zero values of this package, and nil pointers, return instead of doing anything.
var (
	errNoIdentity = errors.New("agering: the identity has no keys: make it with NewIdentity or LoadIdentity")
	errNoRoot     = errors.New("agering: the root has no key: make it with NewRoot or LoadRoot")
	errNoRoster   = errors.New("agering: the roster is nil")
	errNoWrapper  = errors.New("agering: the wrapper has no identity: make it with New")
)

// outdated marks a ring that was good once and that the newest roster no longer lets in: a store that shows it has gone
// back in time, and who holds a newer ring may write that over it. What was never good does not have the mark.
type outdated struct{ error }

func (e outdated) Unwrap() error { return e.error }

// Outdated lets package keyring ask without importing this one.
func (outdated) Outdated() bool { return true }
