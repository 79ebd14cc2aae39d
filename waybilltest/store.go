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

// storePatience is how long a store may take for what must happen.
const storePatience = 30 * time.Second

// Store checks a [keyring.Store] of one's own: that exactly one of many writers wins, that nothing looks like an empty
// ring but one, that bytes come back as they went, that contexts are honoured and that nudges keep to their contract.
// newStore returns a store without a ring, another one each time; what it opens it closes with the test. Each failure
// names what a ring would lose by it.
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

// swap and load are the calls that must succeed.
func (c storeCheck) swap(prev uint64, data []byte) uint64 {
	c.t.Helper()
	rev, err := c.store.CompareAndSwap(c.ctx, prev, data)
	if err != nil {
		c.t.Fatalf("CompareAndSwap of %d bytes for the current revision %d: error %v, want none", len(data), prev, err)
	}
	if rev == 0 || rev == prev {
		c.t.Fatalf("CompareAndSwap for revision %d returned revision %d, want another one, and not 0", prev, rev)
	}
	return rev
}

func (c storeCheck) load() keyring.Blob {
	c.t.Helper()
	blob, err := c.store.Load(c.ctx)
	if err != nil {
		c.t.Fatalf("Load of a ring that is there: error %v, want none", err)
	}
	return blob
}

// holds checks what the store holds.
func (c storeCheck) holds(when string, rev uint64, data []byte) {
	c.t.Helper()
	blob := c.load()
	if blob.Revision != rev {
		c.t.Errorf("%s, Load has revision %d, want %d: the next CompareAndSwap would lose for nothing", when, blob.Revision, rev)
	}
	if !bytes.Equal(blob.Data, data) {
		c.t.Errorf("%s, Load has %s, want %s", when, brief(blob.Data), brief(data))
	}
}

// conflicts checks that a version is refused.
func (c storeCheck) conflicts(when string, prev uint64) {
	c.t.Helper()
	rev, err := c.store.CompareAndSwap(c.ctx, prev, []byte("of a loser"))
	if !errors.Is(err, keyring.ErrConflict) {
		c.t.Errorf("CompareAndSwap %s: revision %d, error %v, want %v: another node's keys would be overwritten",
			when, rev, err, keyring.ErrConflict)
	}
}

// empty: what is not there is told apart from all else, and is not replaced.
func (c storeCheck) empty() {
	for range 2 {
		if blob, err := c.store.Load(c.ctx); !errors.Is(err, keyring.ErrNotFound) {
			c.t.Errorf("Load of a new store: %d bytes, error %v, want %v", len(blob.Data), err, keyring.ErrNotFound)
		}
		c.conflicts("of revision 7 in a new store", 7)
	}
}

// versions: each is replaced once.
func (c storeCheck) versions() {
	first := c.swap(0, []byte("first"))
	c.holds("after the ring was created", first, []byte("first"))
	c.conflicts("to create a ring that is there", 0)
	c.holds("after a second creation was refused", first, []byte("first"))
	second := c.swap(first, []byte("second"))
	c.holds("after the ring was replaced", second, []byte("second"))
	c.conflicts("of a revision that was replaced", first)
	c.conflicts("to create a ring that was replaced", 0)
	c.conflicts("of a revision that never was", second+1)
	c.holds("after three refusals", second, []byte("second"))
}

// bytes: they are the store's own, and whole.
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
		data[0] ^= 0xff // the caller's to reuse
		c.holds(fmt.Sprintf("after %s was written", brief(want)), rev, want)
		c.load().Data[0] ^= 0xff
		c.holds("after a reader changed its copy", rev, want)
	}
}

// winners: of many writers one wins, and its bytes stay.
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
					c.t.Errorf("CompareAndSwap beside %d others: error %v, want none or %v", writers-1, err, keyring.ErrConflict)
				}
			})
		}
		close(start)
		all.Wait()
		blob := c.load()
		if len(won) != 1 || !bytes.Equal(won[blob.Revision], blob.Data) {
			c.t.Fatalf("of %d writers that replaced revision %d at once %d won, and the ring is %s of revision %d: want one, "+
				"and its bytes", writers, rev, len(won), brief(blob.Data), blob.Revision)
		}
		rev = blob.Revision
	}
}

// sums: writers that read, add one and retry lose no addition.
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
					c.t.Errorf("a writer beside %d others: error %v, want none or %v", writers-1, err, keyring.ErrConflict)
					return
				}
			}
		})
	}
	all.Wait()
	if got, want := len(c.load().Data), 1+writers*additions; got != want {
		c.t.Errorf("%d writers left %d bytes, want %d: a write was lost", writers, got, want)
	}
}

// ended: a call whose context has ended says so, and never that there is no ring.
func (c storeCheck) ended() {
	gone, cancel := context.WithCancel(c.ctx)
	cancel()
	if _, err := c.store.Load(gone); !errors.Is(err, context.Canceled) || errors.Is(err, keyring.ErrNotFound) {
		c.t.Errorf("Load with an ended context: error %v, want %v", err, context.Canceled)
	}
	if _, err := c.store.CompareAndSwap(gone, 0, []byte("late")); !errors.Is(err, context.Canceled) {
		c.t.Errorf("CompareAndSwap with an ended context: error %v, want %v", err, context.Canceled)
	}
}

// nudges: they may be none; whoever reads none holds up nobody, and their channel ends with the context.
func (c storeCheck) nudges() {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	read, unread := c.store.Nudges(ctx), c.store.Nudges(ctx)
	rev := uint64(0)
	for i := range 200 { // more than any channel should hold
		rev = c.swap(rev, fmt.Appendf(nil, "version %d", i))
	}
	for open := read != nil; open; {
		select {
		case _, ok := <-read:
			if open = ok; !ok {
				c.t.Errorf("the nudges ended before their context")
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
				c.t.Fatalf("the channel of the nudges is open %v after its context ended: its reader would never leave", storePatience)
			}
		}
	}
	c.holds("after the nudges ended", rev, []byte("version 199"))
}

// brief shows bytes of a store under test: a few of them.
func brief(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%d bytes that begin with %q", len(data), data[:16])
	}
	return fmt.Sprintf("%q", data)
}
