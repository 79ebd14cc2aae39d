package natskvtest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// The policy of these tests is the default one, at its own pace: what arrives long before a poll, which is 24 s at least,
// came by a nudge.
var asDefault = keyring.DefaultPolicy()

// promptly is that long. The aim is 1 s, which each test logs and a busy machine may miss.
const promptly = 20 * time.Second

// counted is a store that counts its reads, and may be without nudges.
type counted struct {
	keyring.Store
	reads atomic.Int64
	deaf  bool
}

func (c *counted) Load(ctx context.Context) (keyring.Blob, error) {
	c.reads.Add(1)
	return c.Store.Load(ctx)
}

func (c *counted) Nudges(ctx context.Context) <-chan struct{} {
	if c.deaf {
		return nil
	}
	return c.Store.Nudges(ctx)
}

// shop is a server, a bucket, and an operator who writes to it.
type shop struct {
	*office
	t     testing.TB
	url   string
	conn  *nats.Conn
	store *natskv.Store
}

// openShop makes a ring in a bucket, sealed to members of these names and the operator.
func openShop(t testing.TB, names ...string) *shop {
	t.Helper()
	url := startServer(t).ClientURL()
	nc := connect(t, url)
	check(t, natskv.Create(t.Context(), nc, bucket))
	s := &shop{office: newOffice(t, append([]string{"operator"}, names...)...), t: t, url: url, conn: nc, store: newStore(t, nc, "shop")}
	first, err := asDefault.Genesis("shop", time.Now())
	check(t, err)
	check(t, keyring.Create(t.Context(), s.store, s.wrapper("operator"), first.WithEpoch(1)))
	return s
}

// process starts one of a service.
func (s *shop) process(store keyring.Store, w keyring.Wrapper, p keyring.Policy) *node {
	s.t.Helper()
	ring, err := keyring.Maintain(s.t.Context(), store, w, keyring.Domain("shop"), keyring.WithPolicy(p),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	check(s.t, err)
	s.t.Cleanup(func() { ring.Close() })
	auth, err := waybill.New("shop", ring)
	check(s.t, err)
	return &node{ring, auth}
}

// twenty are processes of a service, each with a connection of its own.
func (s *shop) twenty(name string) (all []*node) {
	s.t.Helper()
	for range nodes {
		n := s.process(newStore(s.t, connect(s.t, s.url), "shop"), s.stranger(name), asDefault)
		eventually(s.t, "a process that is ready", func() bool { return n.ring.Ready() == nil })
		all = append(all, n)
	}
	return all
}

// everyone waits until all processes are as wanted, and logs how long that took.
func everyone(t testing.TB, all []*node, what string, met func(*node) bool) {
	t.Helper()
	began := time.Now()
	for _, n := range all {
		eventually(t, what, func() bool { return met(n) })
	}
	took := time.Since(began)
	if took > promptly {
		t.Errorf("%s on %d nodes took %v, want it within %v, as by a nudge", what, len(all), took, promptly)
	}
	t.Logf("%s on %d nodes after %v", what, len(all), took.Round(time.Millisecond))
}

// load reads the ring, however slow the server is.
func (s *shop) load() (blob keyring.Blob) {
	s.t.Helper()
	eventually(s.t, "the ring in the store", func() (ok bool) {
		var err error
		blob, err = s.store.Load(s.t.Context())
		return err == nil
	})
	return blob
}

// next publishes the roster as it is now, with the ring sealed to its members. It is what "keys rewrap" does.
func (s *shop) next() {
	s.t.Helper()
	s.roster.Seq++
	w := s.wrapper("operator")
	eventually(s.t, "the store to take the next roster", func() bool { // a node may be faster
		blob := s.load()
		u, err := s.stranger("operator").Unwrap("shop", blob.Data)
		check(s.t, err)
		set, err := keyring.ParseSet(u.Plain)
		check(s.t, err)
		set, err = set.With()
		check(s.t, err)
		if s.roster.Epoch > u.Epoch {
			set, err = asDefault.Genesis("shop", s.roster.EpochStart.Add(2*asDefault.MaxSkew))
			check(s.t, err)
			set = set.WithEpoch(s.roster.Epoch)
		}
		data, err := w.Wrap("shop", set.Generation(), set.SecretJWKS())
		check(s.t, err)
		_, err = s.store.CompareAndSwap(s.t.Context(), blob.Revision, data)
		return err == nil
	})
}

// put writes what a member would not, as somebody can who may write to the bucket.
func (s *shop) put(data []byte) {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	check(s.t, err)
	kv, err := js.KeyValue(s.t.Context(), bucket)
	check(s.t, err)
	eventually(s.t, "the bucket to take it", func() bool {
		_, err := kv.Put(s.t.Context(), natskv.Key("shop"), data)
		return err == nil
	})
}

// TestRevokedEverywhere: 20 of 20 nodes refuse a token under a revoked key within a second.
func TestRevokedEverywhere(t *testing.T) {
	s := openShop(t, "orders")
	all := s.twenty("orders")
	wb, err := all[7].auth.Issue()
	check(t, err)
	for i, n := range all {
		if _, err := n.auth.Open(wb.Token()); err != nil {
			t.Fatalf("node %d before: %v", i, err)
		}
	}
	operator := s.process(s.store, s.wrapper("operator"), asDefault)
	check(t, operator.ring.Revoke(t.Context(), wb.KeyID(), "test"))
	everyone(t, all, "the refusal of a revoked key", func(n *node) bool {
		_, err := n.auth.Open(wb.Token())
		return waybill.Reason(err) == "revoked"
	})
	everyone(t, all, "another key to issue with", func(n *node) bool {
		next, err := n.auth.Issue()
		return err == nil && next.KeyID() != wb.KeyID()
	})
}

// forked is a source that shows one node another ring than all the others see.
type forked struct {
	keyring.Source
	other atomic.Pointer[[]byte]
}

func (f *forked) Load(ctx context.Context) (keyring.Blob, error) {
	if data := f.other.Load(); data != nil {
		return keyring.Blob{Data: *data, Revision: 1 << 40}, nil
	}
	return f.Source.Load(ctx)
}

// TestBurnedEverywhere: the next epoch kills every key of the one before on 20 of 20 nodes within a second, also a key
// that only one node ever saw. Neither comes back with an old ring.
func TestBurnedEverywhere(t *testing.T) {
	s := openShop(t, "orders")
	all := s.twenty("orders")
	old := s.load()

	// What a thief added and showed to a single node.
	seen := all[0].ring.Set()
	now := time.Now()
	stolen, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(11 * 24 * time.Hour)})
	check(t, err)
	more, err := seen.With(stolen)
	check(t, err)
	data, err := s.wrapper("orders").Wrap("shop", more.Generation(), more.SecretJWKS())
	check(t, err)
	source := &forked{Source: s.store}
	source.other.Store(&data)
	lone, err := keyring.Follow(t.Context(), source, keyring.Wrapped(s.stranger("orders")), keyring.Domain("shop"),
		keyring.Poll(100*time.Millisecond), keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	defer lone.Close()
	if lone.Set().Lookup([]byte(stolen.ID())) == nil || all[0].ring.Set().Lookup([]byte(stolen.ID())) != nil {
		t.Fatalf("before the burn the stolen key is in %v and %v, want it on the lone node only", lone.Set(), all[0].ring.Set())
	}
	source.other.Store(nil)
	eventually(t, "the lone node to see what all see", func() bool { return lone.Stats().Age < 100*time.Millisecond })
	if lone.Set().Lookup([]byte(stolen.ID())) == nil {
		t.Error("the lone node gave the stolen key up before the burn: the test shows nothing")
	}
	loot, err := all[3].auth.Issue()
	check(t, err)

	s.roster.Epoch, s.roster.EpochStart = 2, time.Now().Truncate(time.Second)
	s.next()
	burned := func(set *keyring.Set) bool {
		return set.Epoch() == 2 && len(set.Keys()) == 3 && set.Lookup([]byte(stolen.ID())) == nil
	}
	everyone(t, all, "the end of all burnt keys", func(n *node) bool {
		_, err := n.auth.Open(loot.Token())
		return waybill.Reason(err) == "unknown_key" && burned(n.ring.Set())
	})
	eventually(t, "the end of the stolen key on the lone node", func() bool { return burned(lone.Set()) })
	for _, again := range [][]byte{data, old.Data} {
		s.put(again)
		eventually(t, "the nodes to write over the burnt ring", func() bool {
			u, err := s.stranger("operator").Unwrap("shop", s.load().Data)
			return err == nil && u.Epoch == 2
		})
		for i, n := range all {
			if !burned(n.ring.Set()) || n.ring.Ready() != nil {
				t.Errorf("node %d after an old ring: got %v of epoch %d, %v", i, n.ring.Set(), n.ring.Set().Epoch(), n.ring.Ready())
			}
		}
	}
}

// TestMembersChange: who was removed opens no further ring, who was added is ready by a nudge within a second, and without
// one by its next read.
func TestMembersChange(t *testing.T) {
	s := openShop(t, "orders", "cart")
	orders := s.process(newStore(t, connect(t, s.url), "shop"), s.stranger("orders"), asDefault)
	cart := s.process(newStore(t, connect(t, s.url), "shop"), s.stranger("cart"), asDefault)
	eventually(t, "two processes that are ready", func() bool { return orders.ring.Ready() == nil && cart.ring.Ready() == nil })
	members := slices.Clone(s.roster.Members)
	s.add("stock")
	s.add("pricing")
	later := s.roster.Members
	s.roster.Members = members
	swift := s.process(newStore(t, connect(t, s.url), "shop"), s.stranger("stock"), asDefault)
	slowly := asDefault
	slowly.Poll = time.Second
	deaf := &counted{Store: newStore(t, connect(t, s.url), "shop"), deaf: true}
	slow := s.process(deaf, s.stranger("pricing"), slowly)
	for name, n := range map[string]*node{"stock": swift, "pricing": slow} {
		eventually(t, name+" to learn that it is no member", func() bool { return errors.Is(n.ring.Ready(), agering.ErrNotMember) })
		if n.ring.Set() != nil {
			t.Fatalf("%s has keys before it is a member: %v", name, n.ring.Set())
		}
	}
	s.roster.Members = later
	s.remove("cart")
	reads := deaf.reads.Load()
	s.next()
	everyone(t, []*node{swift}, "the readiness of a new member", func(n *node) bool { return n.ring.Ready() == nil })
	eventually(t, "the readiness of a new member without nudges", func() bool { return slow.ring.Ready() == nil })
	if n := deaf.reads.Load() - reads; n > 3 { // one under way before the change, one after it, one between the two looks here
		t.Errorf("a new member without nudges was ready after %d reads, want the first one", n)
	}

	made, err := orders.ring.Rotate(t.Context())
	check(t, err)
	kid := []byte(made[0].ID())
	everyone(t, []*node{orders, swift, slow}, "the next key", func(n *node) bool { return n.ring.Set().Lookup(kid) != nil })
	eventually(t, "who was removed to see a ring that it cannot open", func() bool { return cart.ring.Stats().Failures > 0 })
	if cart.ring.Set().Lookup(kid) != nil {
		t.Error("who was removed has a key that was made since")
	}
	if n := cart.ring.Stats(); n.CASWon+n.Repairs > 0 {
		t.Errorf("who was removed has written to the store: %+v", n)
	}
	wb, err := cart.auth.Issue()
	check(t, err)
	for _, n := range []*node{orders, swift, slow} {
		if _, err := n.auth.Open(wb.Token()); err != nil {
			t.Errorf("a token of who was removed, under a key that it knew: %v, want it opened until that key ends", err)
		}
	}
}
