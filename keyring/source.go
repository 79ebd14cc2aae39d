package keyring

import (
	"context"
	"errors"
	"time"
)

// Blob is a ring as a store holds it: its bytes, and which version they are.
type Blob struct {
	Data     []byte
	Revision uint64    // of the store, for CompareAndSwap; 0 of a source that counts none
	At       time.Time // the store's own clock when it answered; zero if it has none
}

// Source gives the bytes of a ring. It is safe for concurrent use.
type Source interface {
	// Load returns the ring as the source has it now. It returns ErrNotFound only if there is definitely none, and any
	// other error whenever it cannot tell: what cannot be read is never an empty ring.
	Load(ctx context.Context) (Blob, error)

	// Nudges returns a channel that says "look again". It may never do so and it carries nothing else: polling is what a
	// Ring relies on. The channel is closed when ctx ends; nil says that the source has no nudges.
	Nudges(ctx context.Context) <-chan struct{}
}

// Store is a Source that can be written.
type Store interface {
	Source

	// CompareAndSwap replaces the version prev, or creates the ring if prev is 0, and returns the new version. ErrConflict
	// says that another version is there: read again. After any other error the outcome is unknown: read again, too.
	CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error)
}

// Wrapper protects a ring's bytes outside of the process: it hides them, and proves who wrote them.
type Wrapper interface {
	// Wrap seals the ring of a domain in one of its generations.
	Wrap(domain string, generation uint64, plain []byte) ([]byte, error)

	// Unwrap opens what Wrap made, and returns an error unless it was made for this domain by somebody who may write. An
	// error with a method Outdated() bool that returns true says that the ring was good once, and that this wrapper has seen
	// what replaced it: a store that shows it has gone back in time, and a keeper writes what it knows over that.
	Unwrap(domain string, sealed []byte) (Unwrapped, error)
}

// Unwrapped is an opened ring.
type Unwrapped struct {
	Plain      []byte
	Generation uint64
	Epoch      uint64 // that the wrapper proves, or 0 to take the one that the ring states
	By         string // who wrote it, by name; "" if the wrapper cannot tell

	// Stale says that the ring is good, and that this wrapper would seal it otherwise: to the members of a newer roster.
	Stale bool
}

// What stores report.
var (
	ErrNotFound = errors.New("keyring: there is no ring in the store")
	ErrConflict = errors.New("keyring: the ring has changed meanwhile")
)
