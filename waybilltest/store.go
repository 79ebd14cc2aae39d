package waybilltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// storePatience is how long each check of a store may take.
const storePatience = 30 * time.Second

// Store checks your [keyring.Store]:
//
//   - Exactly one of several concurrent writers succeeds.
//   - Only a store without a ring reports that it has none.
//   - Bytes are returned exactly as they were written.
//   - A call whose context has ended returns the context's error.
//   - Nudges follow their contract.
//
// newStore returns a new, empty store for each check. Resources that it opens must be closed when
// the test ends. Each failure says what a user of the store would lose.
//
//	waybilltest.Store(t, func() keyring.Store { return etcdstore.New(client, t.Name()+rand.Text()) })
func Store(t testing.TB, newStore func() keyring.Store) {
	t.Helper()
	for _, check := range []func(storeCheck){
		storeCheck.empty, storeCheck.versions, storeCheck.bytes, storeCheck.winners, storeCheck.sums,
		storeCheck.ended, storeCheck.nudges,
	} {
		func() {
			ctx, cancel := context.WithTimeout(t.Context(), storePatience)
			defer cancel()
			check(storeCheck{t, ctx, newStore()})
		}()
	}
}

type storeCheck struct {
	t     testing.TB
	ctx   context.Context
	store keyring.Store
}

// swap makes a CompareAndSwap that must succeed.
func (c storeCheck) swap(prev uint64, data []byte) uint64 {
	c.t.Helper()
	rev, err := c.store.CompareAndSwap(c.ctx, prev, data)
	if err != nil {
		c.t.Fatalf("CompareAndSwap of %d bytes at the current revision %d: error %v, want none: keys "+
			"could not be saved", len(data), prev, err)
	}
	if rev == 0 || rev == prev {
		c.t.Fatalf("CompareAndSwap at revision %d returned revision %d, want a new revision that is not "+
			"0: readers would miss the change", prev, rev)
	}
	return rev
}

// load makes a Load that must succeed.
func (c storeCheck) load() keyring.Blob {
	c.t.Helper()
	blob, err := c.store.Load(c.ctx)
	if err != nil {
		c.t.Fatalf("Load of a stored ring: error %v, want none: nodes would start without keys", err)
	}
	return blob
}

// wantStored checks the content of the store.
func (c storeCheck) wantStored(when string, rev uint64, data []byte) {
	c.t.Helper()
	blob := c.load()
	if blob.Revision != rev {
		c.t.Errorf("%s, Load returns revision %d, want %d: the next CompareAndSwap would fail without a "+
			"conflict", when, blob.Revision, rev)
	}
	if !bytes.Equal(blob.Data, data) {
		c.t.Errorf("%s, Load returns %s, want %s: the ring would be "+
			"damaged", when, brief(blob.Data), brief(data))
	}
}

// conflicts checks that CompareAndSwap at revision prev fails.
func (c storeCheck) conflicts(when string, prev uint64) {
	c.t.Helper()
	rev, err := c.store.CompareAndSwap(c.ctx, prev, []byte("of a loser"))
	if !errors.Is(err, keyring.ErrConflict) {
		c.t.Errorf("CompareAndSwap %s: revision %d, error %v, want %v: another node's keys would be "+
			"overwritten",
			when, rev, err, keyring.ErrConflict)
	}
}

// empty checks that an empty store says so, and that nothing can be replaced in it.
func (c storeCheck) empty() {
	for range 2 {
		if blob, err := c.store.Load(c.ctx); !errors.Is(err, keyring.ErrNotFound) {
			c.t.Errorf("Load of a new store: %d bytes, error %v, want %v: nobody could create the first "+
				"ring", len(blob.Data), err, keyring.ErrNotFound)
		}
		c.conflicts("at revision 7 in a new store", 7)
	}
}

// versions checks that each version can be replaced once.
func (c storeCheck) versions() {
	first := c.swap(0, []byte("first"))
	c.wantStored("after the ring was created", first, []byte("first"))
	c.conflicts("to create a ring that exists", 0)
	c.wantStored("after a second creation failed", first, []byte("first"))
	second := c.swap(first, []byte("second"))
	c.wantStored("after the ring was replaced", second, []byte("second"))
	c.conflicts("at a revision that was replaced", first)
	c.conflicts("to create a ring that was replaced", 0)
	c.conflicts("at a revision that never existed", second+1)
	c.wantStored("after three writes failed", second, []byte("second"))
}

// bytes checks that the store keeps its own, complete copy.
func (c storeCheck) bytes() {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	rev := uint64(0)
	for _, data := range [][]byte{
		[]byte("x"), every, []byte("\r\n a line \n\n"), []byte("\xef\xbb\xbf\x00"), bytes.Repeat(every, keyring.MaxBytes/len(every)),
	} {
		want := bytes.Clone(data)
		rev = c.swap(rev, data)
		data[0] ^= 0xff // the caller may reuse its slice
		c.wantStored(fmt.Sprintf("after %s was written", brief(want)), rev, want)
		c.load().Data[0] ^= 0xff
		c.wantStored("after a reader changed its copy", rev, want)
	}
}

// winners checks that exactly one of several concurrent writers succeeds, and that its bytes are
// stored.
func (c storeCheck) winners() {
	const writers, rounds = 16, 8
	rev := uint64(0)
	for range rounds {
		var mu sync.Mutex
		won := map[uint64][]byte{}
		start := make(chan struct{})
		var all sync.WaitGroup
		for w := range writers {
			data := fmt.Appendf(nil, "after %d, by writer %d", rev, w)
			all.Go(func() {
				<-start
				next, err := c.store.CompareAndSwap(c.ctx, rev, data)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won[next] = data
				} else if !errors.Is(err, keyring.ErrConflict) {
					c.t.Errorf("CompareAndSwap with %d concurrent writers: error %v, want none or "+
						"%v", writers-1, err, keyring.ErrConflict)
				}
			})
		}
		close(start)
		all.Wait()
		blob := c.load()
		if len(won) != 1 || !bytes.Equal(won[blob.Revision], blob.Data) {
			c.t.Fatalf("%d concurrent writers replaced revision %d: %d succeeded, and the store has %s "+
				"at revision %d; want one, with its bytes: keys of the others would be lost",
				writers, rev, len(won), brief(blob.Data), blob.Revision)
		}
		rev = blob.Revision
	}
}

// sums checks that writers which read, append and retry lose no addition.
func (c storeCheck) sums() {
	const writers, additions = 8, 5
	c.swap(0, []byte("."))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < additions; {
				blob, err := c.store.Load(c.ctx)
				if err == nil {
					_, err = c.store.CompareAndSwap(c.ctx, blob.Revision, append(bytes.Clone(blob.Data), '.'))
				}
				switch {
				case err == nil:
					done++
				case !errors.Is(err, keyring.ErrConflict):
					c.t.Errorf("a writer with %d concurrent writers: error %v, want none or "+
						"%v", writers-1, err, keyring.ErrConflict)
					return
				}
			}
		})
	}
	all.Wait()
	if got, want := len(c.load().Data), 1+writers*additions; got != want {
		c.t.Errorf("%d writers stored %d bytes, want %d: a write was lost", writers, got, want)
	}
}

// ended checks that a call whose context has ended returns the context's error, and never
// ErrNotFound.
func (c storeCheck) ended() {
	gone, cancel := context.WithCancel(c.ctx)
	cancel()
	if _, err := c.store.Load(gone); !errors.Is(err, context.Canceled) || errors.Is(err, keyring.ErrNotFound) {
		c.t.Errorf("Load with an ended context: error %v, want %v: an outage would look like an empty "+
			"ring", err, context.Canceled)
	}
	if _, err := c.store.CompareAndSwap(gone, 0, []byte("late")); !errors.Is(err, context.Canceled) {
		c.t.Errorf("CompareAndSwap with an ended context: error %v, want %v: a node that gave up would "+
			"still replace keys", err, context.Canceled)
	}
}

// nudges checks that writes do not wait for readers of nudges, and that the channel closes when its
// context ends. A store may have no nudges.
func (c storeCheck) nudges() {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	read, unread := c.store.Nudges(ctx), c.store.Nudges(ctx)
	rev := uint64(0)
	for i := range 200 { // more than any channel should buffer
		rev = c.swap(rev, fmt.Appendf(nil, "version %d", i))
	}
	for open := read != nil; open; {
		select {
		case _, ok := <-read:
			if open = ok; !ok {
				c.t.Errorf("the channel of nudges was closed before its context ended: nodes would learn " +
					"of new keys late")
			}
		default:
			open = false
		}
	}
	cancel()
	for _, nudges := range []<-chan struct{}{read, unread} {
		if nudges == nil {
			continue
		}
		late := time.After(storePatience)
		for open := true; open; {
			select {
			case _, open = <-nudges:
			case <-late:
				c.t.Fatalf("the channel of nudges is open %v after its context ended: its reader would "+
					"leak", storePatience)
			}
		}
	}
	c.wantStored("after the nudges ended", rev, []byte("version 199"))
}

// brief describes data, and quotes it in full only if it is short.
func brief(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%d bytes that begin with %q", len(data), data[:16])
	}
	return fmt.Sprintf("%q", data)
}
