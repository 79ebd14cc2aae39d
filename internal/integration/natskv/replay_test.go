package natskvtest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// frozen is a source that shows one ring for ever, as a bucket in the hands of somebody else does.
type frozen []byte

func (f frozen) Load(context.Context) (keyring.Blob, error) {
	return keyring.Blob{Data: f, Revision: 1}, nil
}
func (frozen) Nudges(context.Context) <-chan struct{} { return nil }

// seeing opens a ring that shows w nothing but data.
func seeing(t testing.TB, data []byte, w *agering.Wrapper) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Follow(t.Context(), frozen(data), keyring.Wrapped(w), keyring.Domain("shop"),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	t.Cleanup(func() { ring.Close() })
	return ring
}

// TestOldRingComesBack: an old ring with its old roster, put into the bucket by who may write there, brings nobody back who
// has left. A running node writes over it; a process that starts and remembers refuses it; one that remembers nothing, and
// is shown nothing else, takes it, as the documentation says.
func TestOldRingComesBack(t *testing.T) {
	s := openShop(t, "orders", "cart")
	old := s.load()
	w := s.stranger("orders", s.guard(1))
	orders := s.process(newStore(t, connect(t, s.url), "shop"), w, asDefault)
	eventually(t, "a node that is ready", func() bool { return orders.ring.Ready() == nil })
	s.remove("cart")
	s.next()
	eventually(t, "the new roster at a node", func() bool { return w.Roster().Seq == 2 })

	s.put(old.Data)
	eventually(t, "the node to write over the old ring", func() bool {
		fresh := s.stranger("orders")
		_, err := fresh.Unwrap("shop", s.load().Data)
		return err == nil && fresh.Roster().Seq == 2 && orders.ring.Stats().Repairs > 0
	})
	if seq := w.Roster().Seq; seq != 2 || orders.ring.Ready() != nil {
		t.Errorf("the node has roster %d, ready %v, want 2 and ready", seq, orders.ring.Ready())
	}

	remembers := seeing(t, old.Data, s.stranger("orders", s.guard(1)))
	if err := remembers.Ready(); !errors.Is(err, agering.ErrOldRoster) || remembers.Set() != nil {
		t.Errorf("a process that remembers: got %v with %v, want %v and no keys", err, remembers.Set(), agering.ErrOldRoster)
	}
	if forgets := seeing(t, old.Data, s.stranger("orders", s.guard(2))); forgets.Ready() != nil {
		t.Errorf("a process without memory: got %v, want the ring that it is shown", forgets.Ready())
	}
}

// TestForgedRing: what somebody puts into the bucket who may write there and knows every recipient, but is no member,
// changes nothing. The last good ring stays, each read is counted, and the log says why.
func TestForgedRing(t *testing.T) {
	s := openShop(t, "orders")
	good := s.load()
	p := asDefault
	p.Poll = 200 * time.Millisecond
	orders := s.process(newStore(t, connect(t, s.url), "shop"), s.stranger("orders"), p)
	eventually(t, "a node that is ready", func() bool { return orders.ring.Ready() == nil })
	set := orders.ring.Set()

	// The attacker's own root, over the members' public halves and itself.
	forger := newOffice(t, "mallory")
	forger.roster.Members = append(forger.roster.Members, s.roster.Members...)
	other, err := asDefault.Genesis("shop", time.Now())
	check(t, err)
	forged, err := forger.wrapper("mallory").Wrap("shop", 1, other.WithEpoch(1).SecretJWKS())
	check(t, err)
	// A ring of another domain of the same operator and members.
	bank := *s.office
	bank.roster.Domain = "bank"
	signed, err := bank.roster.Sign(s.root)
	check(t, err)
	banker, err := agering.New("bank", s.ids["operator"], []agering.PublicRoot{s.root.Public()})
	check(t, err)
	check(t, banker.Learn(signed))
	theirs, err := asDefault.Genesis("bank", time.Now())
	check(t, err)
	swapped, err := banker.Wrap("bank", 1, theirs.WithEpoch(1).SecretJWKS())
	check(t, err)
	flipped := bytes.Clone(good.Data)
	flipped[len(flipped)/2] ^= 1

	for _, c := range []struct {
		name string
		data []byte
	}{
		{"by who is on no roster", forged}, {"of another domain", swapped}, {"with a flipped bit", flipped},
		{"cut off", good.Data[:len(good.Data)-20]}, {"in plain", other.SecretJWKS()}, {"of nothing", nil},
	} {
		failures := orders.ring.Stats().Failures
		s.put(c.data)
		eventually(t, "reads of a ring "+c.name, func() bool { return orders.ring.Stats().Failures > failures+1 })
		if orders.ring.Set() != set || orders.ring.Ready() != nil {
			t.Errorf("a ring %s: got %v, ready %v, want the last good one", c.name, orders.ring.Set(), orders.ring.Ready())
		}
		if !bytes.Equal(s.load().Data, c.data) {
			t.Errorf("a ring %s was written over: a node replaced what it could not judge", c.name)
		}
		if cold := seeing(t, c.data, s.stranger("orders")); cold.Ready() == nil || cold.Set() != nil {
			t.Errorf("a process that starts took a ring %s: %v", c.name, cold.Set())
		}
	}

	// One of the past, that is good: nothing is lost, and the generation does not fall.
	s.put(good.Data)
	eventually(t, "the good ring", func() bool { return orders.ring.Fresh() })
	made, err := orders.ring.Rotate(t.Context())
	check(t, err)
	generation := orders.ring.Stats().Generation
	s.put(good.Data)
	eventually(t, "the repair", func() bool { return orders.ring.Stats().Repairs > 0 })
	if n := orders.ring.Stats().Generation; n < generation || orders.ring.Set().Lookup([]byte(made[0].ID())) == nil {
		t.Errorf("after a ring of the past: got generation %d with %v, want %d or later, with key %s", n, orders.ring.Set(), generation,
			made[0].ID())
	}
}
