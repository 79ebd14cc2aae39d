package agering_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// TestRingFollowsABurn: a running ring takes a sealed file, and gives up all of its keys when the next epoch comes.
func TestRingFollowsABurn(t *testing.T) {
	root, domain := agering.NewRoot(), "shop"
	ops, orders := newIdentity(t, "ops"), newIdentity(t, "orders")
	roster := agering.Roster{Domain: domain, Seq: 1, Epoch: 1, Expires: time.Now().Add(time.Hour),
		Members: []agering.Member{ops.Public(), orders.Public()}}
	roster.Members[0].MayPropose = true
	roots := []agering.PublicRoot{root.Public()}
	writer, err := agering.New(domain, ops, roots)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ring.sealed")
	write := func(set *keyring.Set) {
		t.Helper()
		signed, err := roster.Sign(root)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Learn(signed); err != nil {
			t.Fatal(err)
		}
		sealed, err := writer.Wrap(domain, set.Generation(), set.SecretJWKS())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	first := newSet(t, domain)
	write(first)
	wrapper, err := agering.New(domain, orders, roots)
	if err != nil {
		t.Fatal(err)
	}
	policy := keyring.DefaultPolicy()
	policy.Poll = 10 * time.Millisecond
	ring, err := keyring.Follow(t.Context(), keyring.File(path), keyring.Wrapped(wrapper), keyring.Domain(domain),
		keyring.WithPolicy(policy), keyring.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	old := first.Keys()[0].ID()
	if ring.Set().Lookup([]byte(old)) == nil {
		t.Fatalf("got %v, want it with key %s", ring.Set(), old)
	}

	second := newSet(t, domain).WithEpoch(2)
	roster.Seq, roster.Epoch, roster.EpochStart = 2, 2, second.Keys()[0].Times().Created
	write(second)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ring.Set().Epoch() != 2 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("got %v of epoch %d, want epoch 2", ring.Set(), ring.Set().Epoch())
		}
	}
	if ring.Set().Lookup([]byte(old)) != nil || ring.Set().Lookup([]byte(second.Keys()[0].ID())) == nil {
		t.Errorf("got %v, want the new key and not the old one", ring.Set())
	}
}

func newIdentity(t *testing.T, name string) *agering.Identity {
	t.Helper()
	id, err := agering.NewIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newSet is a ring with one key whose times fit the default policy.
func newSet(t *testing.T, domain string) *keyring.Set {
	t.Helper()
	p, now := keyring.DefaultPolicy(), time.Now()
	k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now,
		Expires: now.Add(p.Period + p.Horizon + p.Slack)})
	if err != nil {
		t.Fatal(err)
	}
	set, err := keyring.NewSet(domain, k)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
