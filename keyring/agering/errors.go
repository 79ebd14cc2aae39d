package agering

import "errors"

// Errors that callers can distinguish with errors.Is. No error contains a secret.
var (
	ErrSignature   = errors.New("agering: wrong signature")
	ErrOldRoster   = errors.New("agering: the roster is older than the newest known one")
	ErrExpired     = errors.New("agering: the roster has expired")
	ErrOldEpoch    = errors.New("agering: burnt epoch")
	ErrNotProposer = errors.New("agering: the member may not propose")
	ErrNotRevoker  = errors.New("agering: the member may not revoke")
	ErrNotMember   = errors.New("agering: this identity is not a member")
)

// Errors of zero values and nil pointers.
var (
	errNoIdentity = errors.New("agering: the identity has no keys: make it with NewIdentity or LoadIdentity")
	errNoRoot     = errors.New("agering: the root has no key: make it with NewRoot or LoadRoot")
	errNoRoster   = errors.New("agering: the roster is nil")
	errNoWrapper  = errors.New("agering: the wrapper has no identity: make it with New")
)

// outdated marks the error about a ring that was valid once and that the newest roster no longer
// accepts: the store has gone back in time, and a node with a newer ring may overwrite it. The
// error about a ring that was never valid has no such mark.
type outdated struct{ error }

func (e outdated) Unwrap() error { return e.error }

// Outdated lets package keyring recognise the error without importing this package.
func (outdated) Outdated() bool { return true }
