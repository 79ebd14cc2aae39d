package keyring

import (
	"context"
	"errors"
	"time"
)

// Blob is one version of a ring in a store.
type Blob struct {
	Data     []byte
	Revision uint64    // for CompareAndSwap; 0 if the source has no revisions
	At       time.Time // time by the store's clock when it answered; zero if it has no clock
}

// Source reads a ring. It is safe for concurrent use.
type Source interface {
	// Load returns the ring that the source has now. It returns ErrNotFound only if there is
	// certainly no ring, and another error whenever it cannot tell.
	Load(ctx context.Context) (Blob, error)

	// Nudges returns a channel that receives a value when the ring may have changed. Nudges may be
	// lost: a Ring also polls the source. The channel is closed when ctx ends. It is nil if the
	// source has no nudges.
	Nudges(ctx context.Context) <-chan struct{}
}

// Store is a Source that can be written.
type Store interface {
	Source

	// CompareAndSwap replaces the revision prev, or creates the ring if prev is 0, and returns the
	// new revision. It returns ErrConflict if the store has another revision. After any other error
	// the outcome is unknown. After every error the caller must read again.
	CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error)
}

// Wrapper seals a ring for storage outside of the process: it encrypts the ring and proves who
// wrote it. It is safe for concurrent use.
type Wrapper interface {
	// Wrap seals the ring of a domain in one of its generations.
	Wrap(domain string, generation uint64, plain []byte) ([]byte, error)

	// Unwrap unseals a ring that Wrap sealed. It returns an error unless the ring was sealed for
	// this domain by somebody who may write. If the ring was valid once and this wrapper has seen a
	// newer roster that no longer accepts it, the error has a method Outdated() bool that returns
	// true: the store has gone back in time, and a Ring of [Maintain] overwrites it.
	Unwrap(domain string, sealed []byte) (Unwrapped, error)
}

// Unwrapped is an unsealed ring.
type Unwrapped struct {
	Plain      []byte
	Generation uint64
	Epoch      uint64 // proved by the wrapper, or 0 to use the epoch that the ring states
	By         string // name of the writer; "" if the wrapper cannot tell

	// Stale reports that the ring is valid but should be sealed again, to the members of a newer
	// roster.
	Stale bool
}

// Errors of stores.
var (
	ErrNotFound = errors.New("keyring: there is no ring in the store")
	ErrConflict = errors.New("keyring: the ring was changed by somebody else meanwhile")
)
