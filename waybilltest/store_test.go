package waybilltest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

func ExampleStore() {
	t := exampleTB{new(testing.T)} // in a test, use its *testing.T

	waybilltest.Store(t, func() keyring.Store { return new(memory) })
	// Output:
}

// memory is a store with the one given fault.
type memory struct {
	mu    sync.Mutex
	rev   uint64
	data  []byte
	fault string
}

func (m *memory) Load(ctx context.Context) (keyring.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil && m.fault != "patient reads" {
		if m.fault == "an outage is an empty ring" {
			return keyring.Blob{}, fmt.Errorf("%w: %w", keyring.ErrNotFound, ctx.Err())
		}
		return keyring.Blob{}, ctx.Err()
	}
	if m.rev == 0 {
		if m.fault == "own not-found" {
			return keyring.Blob{}, errors.New("nothing here")
		}
		return keyring.Blob{}, keyring.ErrNotFound
	}
	data := bytes.Clone(m.data)
	switch m.fault {
	case "shared reads":
		data = m.data
	case "text":
		data = bytes.TrimSpace(data)
	case "no revision":
		return keyring.Blob{Data: data}, nil
	}
	return keyring.Blob{Data: data, Revision: m.rev}, nil
}

func (m *memory) CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error) {
	if ctx.Err() != nil && m.fault != "patient writes" {
		return 0, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	match := prev == m.rev
	switch m.fault {
	case "last write wins":
		match = true
	case "create replaces":
		match = match || prev == 0
	case "replace creates":
		match = match || m.rev == 0
	case "check, then act":
		m.mu.Unlock()
		time.Sleep(time.Millisecond) // makes the race likely
		m.mu.Lock()
	case "small values":
		if len(data) > 64<<10 {
			return 0, errors.New("too large")
		}
	}
	if !match {
		if m.fault == "own conflict" {
			return 0, errors.New("stale")
		}
		return 0, keyring.ErrConflict
	}
	m.rev++
	if m.data = bytes.Clone(data); m.fault == "shared writes" {
		m.data = data
	}
	return m.rev, nil
}

func (m *memory) Nudges(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	switch m.fault {
	case "no nudges":
		return nil
	case "nudges end early":
		close(c)
	default:
		context.AfterFunc(ctx, func() { close(c) })
	}
	return c
}

func TestStore(t *testing.T) {
	cases := []struct {
		fault string
		want  string // in a failure; "": no failure
	}{
		{"", ""},
		{"no nudges", ""},
		{"own not-found", "Load of a new store"},
		{"an outage is an empty ring", "Load with an ended context"},
		{"patient reads", "Load with an ended context"},
		{"patient writes", "CompareAndSwap with an ended context"},
		{"shared reads", "after a reader changed its copy"},
		{"shared writes", "was written, Load returns"},
		{"text", "was written, Load returns"},
		{"no revision", "would fail without a conflict"},
		{"last write wins", "at a revision that was replaced"},
		{"create replaces", "to create a ring that exists"},
		{"replace creates", "at revision 7 in a new store"},
		{"check, then act", "concurrent writers replaced revision 0"},
		{"own conflict", "another node's keys would be overwritten"},
		{"small values", "CompareAndSwap of 262144 bytes"},
		{"nudges end early", "the channel of nudges was closed before its context ended"},
	}
	for _, c := range cases {
		t.Run(c.fault, func(t *testing.T) {
			var locked lockedRecorder
			failed := failures(t, func(tb testing.TB) {
				locked.TB = tb
				waybilltest.Store(&locked, func() keyring.Store { return &memory{fault: c.fault} })
			})
			all := strings.Join(failed, "\n")
			if c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("fault %q: failures %q, want %q", c.fault, all, c.want)
			}
		})
	}
}

// lockedRecorder is a recorder for checks that may fail in several goroutines.
type lockedRecorder struct {
	mu sync.Mutex
	testing.TB
}

func (r *lockedRecorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.TB.Errorf(format, args...)
}

func (r *lockedRecorder) Fatalf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.TB.Fatalf(format, args...)
}

// TestFileStore checks the store of key ring files.
func TestFileStore(t *testing.T) {
	n := 0
	dir := t.TempDir()
	waybilltest.Store(t, func() keyring.Store {
		n++
		return keyring.FileStore(filepath.Join(dir, fmt.Sprintf("ring%d.jwks", n)))
	})
}
