package keys_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/keyring"
)

const period = 4 * time.Second

// TestRotation lets three services rotate their ring, of which two may.
func TestRotation(t *testing.T) {
	url, dir := declared(t, keys.Policy(period))
	operator := operator(t, url, dir, keys.Policy(period))
	swaps := make(chan keys.Swap, 16)
	revoked := make(chan string, 16)
	watching, err := operator.Watch(t.Context(), func(s keys.Swap) { swaps <- s }, func(kid string) { revoked <- kid })
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	rings := map[string]*keyring.Ring{}
	for _, service := range []string{"gateway", "cart", "payment"} {
		line := brokertest.Join(t, url, dir, service)
		ring, err := keys.Open(t.Context(), line.Conn, filepath.Join(dir, service), service, keys.Policy(period))
		if err != nil {
			t.Fatal(err)
		}
		defer ring.Close()
		rings[service] = ring
	}
	first := watching.Set().Keys()
	if len(first) != 1 {
		t.Fatalf("got %d keys at the start, want 1", len(first))
	}
	if _, err := rings["gateway"].Rotate(t.Context()); !errors.Is(err, keyring.ErrFollows) {
		t.Errorf("rotation by the follower: got %v, want ErrFollows", err)
	}

	var swap keys.Swap
	select {
	case swap = <-swaps:
	case <-time.After(3 * period):
		t.Fatalf("no new key after %v", 3*period)
	}
	if swap.Old != first[0].ID() || !slices.Contains([]string{"cart", "payment"}, swap.By) {
		t.Errorf("got %+v, want a key after %s by one of the two that may", swap, first[0].ID())
	}
	for service, ring := range rings {
		await(t, service+" has the new key", swap.Active, func() bool {
			return ring.Set().Lookup([]byte(swap.New)) != nil
		})
	}
	for service, ring := range rings {
		await(t, service+" issues with the new key", swap.Active.Add(period), func() bool {
			now := time.Now()
			k := ring.Active(keyring.Signed, now, now.Add(keys.Life))
			return k != nil && k.ID() == swap.New
		})
		if ring.Set().Lookup([]byte(swap.Old)) == nil {
			t.Errorf("%s has dropped the old key", service)
		}
	}

	if err := operator.Revoke(t.Context(), swap.Old); err != nil {
		t.Fatal(err)
	}
	select {
	case kid := <-revoked:
		if kid != swap.Old {
			t.Errorf("told that %s is revoked, want %s", kid, swap.Old)
		}
	case <-time.After(3 * period):
		t.Errorf("not told of the revocation after %v", 3*period)
	}
}

// await waits until the condition holds, and fails if it comes to hold too late.
func await(t *testing.T, what string, late time.Time, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if now := <-tick.C; now.After(late) {
			t.Fatalf("not before %v: %s", late, what)
		}
	}
}
