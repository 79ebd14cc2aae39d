package natskvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// listening returns the nudges of a store when they have begun, which is one itself.
func listening(t testing.TB, ctx context.Context, s *natskv.Store) <-chan struct{} {
	t.Helper()
	nudges := s.Nudges(ctx)
	receive(t, nudges, "the first nudge, of who listens")
	return nudges
}

func TestNudges(t *testing.T) {
	s := startServer(t)
	writer, reader := connect(t, s.ClientURL()), connect(t, s.ClientURL())
	check(t, natskv.Create(t.Context(), writer, bucket))
	shop, bank := newStore(t, writer, "shop.example"), newStore(t, writer, "bank")
	follower := newStore(t, reader, "shop.example")
	nudges := listening(t, t.Context(), follower)
	check(t, reader.Flush()) // the server knows of it
	spy, err := reader.SubscribeSync(natskv.NudgeSubject(bucket, "shop.example"))
	check(t, err)
	check(t, reader.Flush())

	rev, err := shop.CompareAndSwap(t.Context(), 0, []byte("secret"))
	check(t, err)
	receive(t, nudges, "a nudge after the first version")
	if msg, err := spy.NextMsg(patience); err != nil || len(msg.Data) != 0 {
		t.Errorf("the nudge carries %q, %v, want headers only", msg.Data, err)
	}
	if blob, err := follower.Load(t.Context()); err != nil || blob.Revision != rev {
		t.Errorf("Load after the nudge: revision %d, %v, want %d", blob.Revision, err, rev)
	}
	// Neither a refused write nor another domain's is a reason to look.
	if _, err := shop.CompareAndSwap(t.Context(), 0, []byte("lost")); !errors.Is(err, keyring.ErrConflict) {
		t.Errorf("a second creation: error %v, want %v", err, keyring.ErrConflict)
	}
	_, err = bank.CompareAndSwap(t.Context(), 0, []byte("other"))
	check(t, err)
	check(t, reader.Flush())
	select {
	case <-nudges:
		t.Error("a nudge after a refused write and one of another domain, want none")
	case <-time.After(200 * time.Millisecond):
	}
	_, err = shop.CompareAndSwap(t.Context(), rev, []byte("more"))
	check(t, err)
	receive(t, nudges, "a nudge after the second version")
}

// A killed server takes nothing along, and its return is a reason to look.
func TestRestart(t *testing.T) {
	b := startBroker(t)
	nc := connect(t, b.url())
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	nudges := listening(t, t.Context(), store)
	check(t, nc.Flush())
	rev := uint64(0)
	for n := range 5 {
		data := fmt.Sprint("version ", n)
		next, err := store.CompareAndSwap(t.Context(), rev, []byte(data))
		check(t, err)
		rev = next
		receive(t, nudges, "a nudge after "+data)
		b.kill()
		eventually(t, "the client's notice", func() bool { return !nc.IsConnected() })
		began := time.Now()
		if _, err := store.Load(t.Context()); err == nil || errors.Is(err, keyring.ErrNotFound) {
			t.Errorf("Load without a server: error %v, want one that is not %v", err, keyring.ErrNotFound)
		}
		if _, err := store.CompareAndSwap(t.Context(), rev, []byte("lost")); err == nil || errors.Is(err, keyring.ErrConflict) {
			t.Errorf("CompareAndSwap without a server: error %v, want one that is not %v", err, keyring.ErrConflict)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("without a server two calls took %v, want an answer at once", took)
		}
		b.start()
		receive(t, nudges, "a nudge after the restart")
		// JetStream of a server that takes connections may still be reading its files.
		eventually(t, "an answer", func() bool {
			blob, err := store.Load(t.Context())
			if errors.Is(err, keyring.ErrNotFound) || err == nil && (string(blob.Data) != data || blob.Revision != rev) {
				t.Fatalf("after the restart: %q of revision %d, %v, want %q of %d", blob.Data, blob.Revision, err, data, rev)
			}
			return err == nil
		})
	}
}

// A call that waits for a killed server does not wait for its time to run out.
func TestKilledDuringCall(t *testing.T) {
	b := startBroker(t)
	nc := connect(t, b.url())
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	_ = store.Nudges(t.Context())
	_, err := store.CompareAndSwap(t.Context(), 0, []byte("one"))
	check(t, err)
	began, failed := time.Now(), make(chan error, 1)
	go func() {
		for {
			if _, err := store.Load(context.Background()); err != nil {
				failed <- err
				return
			}
		}
	}()
	b.kill()
	if err := receive(t, failed, "the failure of a call"); errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load during the kill: error %v, want one that is not %v", err, keyring.ErrNotFound)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the call ended after %v, want at once", took)
	}
}

// A wiped server has no bucket; when the operator has made one, the ring is definitely absent and can be put back.
func TestWiped(t *testing.T) {
	b := startBroker(t)
	nc := connect(t, b.url())
	check(t, natskv.Create(t.Context(), nc, bucket))
	store := newStore(t, nc, "shop")
	nudges := listening(t, t.Context(), store)
	check(t, nc.Flush())
	rev := uint64(0)
	for n := range 3 {
		next, err := store.CompareAndSwap(t.Context(), rev, fmt.Append(nil, "version ", n))
		check(t, err)
		rev = next
	}
	b.kill()
	b.wipe()
	eventually(t, "the client's notice", func() bool { return !nc.IsConnected() })
	for len(nudges) > 0 {
		<-nudges
	}
	b.start()
	receive(t, nudges, "a nudge after the restart")
	if _, err := store.Load(t.Context()); err == nil || errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load of a bucket that is lost: error %v, want one that is not %v", err, keyring.ErrNotFound)
	}
	check(t, natskv.Create(t.Context(), nc, bucket))
	if _, err := store.Load(t.Context()); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load of a new bucket: error %v, want %v", err, keyring.ErrNotFound)
	}
	if _, err := store.CompareAndSwap(t.Context(), rev, []byte("stale")); !errors.Is(err, keyring.ErrConflict) {
		t.Errorf("CompareAndSwap of a lost revision: error %v, want %v", err, keyring.ErrConflict)
	}
	back, err := store.CompareAndSwap(t.Context(), 0, []byte("put back"))
	check(t, err)
	receive(t, nudges, "a nudge after the repair: revisions begin anew")
	if back >= rev {
		t.Errorf("the repair has revision %d, want one below the lost %d: this test shows nothing", back, rev)
	}
}

// A closed connection has nothing to say, and nobody hangs.
func TestClosedConnection(t *testing.T) {
	nc := connect(t, startServer(t).ClientURL())
	store := newStore(t, nc, "shop")
	ctx, cancel := context.WithCancel(t.Context())
	nudges := listening(t, ctx, store)
	nc.Close()
	if _, err := store.Load(ctx); err == nil || errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load on a closed connection: error %v, want one that is not %v", err, keyring.ErrNotFound)
	}
	if late := store.Nudges(ctx); late != nil {
		t.Error("Nudges of a closed connection, want none")
	}
	cancel()
	for range nudges { // ends when the channel is closed
	}
}

// A server that comes up after its client is found.
func TestServerUpLate(t *testing.T) {
	b := startBroker(t)
	b.kill()
	nc := connect(t, b.url(), nats.RetryOnFailedConnect(true))
	store := newStore(t, nc, "shop")
	nudges := store.Nudges(t.Context())
	if _, err := store.Load(t.Context()); err == nil || errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load before the server is up: error %v, want one that is not %v", err, keyring.ErrNotFound)
	}
	b.start()
	receive(t, nudges, "a nudge when the server is up")
	check(t, natskv.Create(t.Context(), nc, bucket))
	if _, err := store.Load(t.Context()); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Load of a new bucket: error %v, want %v", err, keyring.ErrNotFound)
	}
}
