package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// TestCommandsReachServices runs the operator's commands over NATS while two services keep the ring, and waits until each
// has taken what the command did. One who left takes nothing any more.
func TestCommandsReachServices(t *testing.T) {
	url, stop, err := startNATS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := execute(t, "", nil, args...)
		if code != 0 {
			t.Fatalf("waybill %s: got exit code %d, want 0: %s", strings.Join(args[:2], " "), code, stderr)
		}
		return strings.TrimSpace(string(stdout))
	}
	root := run("keys", "root", "new", file("root"))
	sign := []string{"keys", "roster", "sign", file("roster"), "--root", file("root"), "--domain", "shop",
		"--member", run("keys", "identity", "new", file("me"), "--name", "operator", "--may-propose", "--may-revoke")}
	for _, name := range []string{"orders", "bills"} {
		sign = append(sign, "--member", run("keys", "identity", "new", file(name), "--name", name, "--may-propose"))
	}
	run(sign...)
	over := func(args ...string) []string {
		return append(args, "--nats", url, "--bucket", "waybill", "--domain", "shop", "--identity", file("me"),
			"--root-public", root)
	}
	kid := run(over("keys", "init", "--protection", "signed", "--roster", file("roster"))...)
	if status := run(over("keys", "status")...); !strings.Contains(status, "no node answered") {
		t.Errorf("status without a service: got %s, want it to say that nobody answers", status)
	}
	orders, bills := service(t, url, file("orders"), root), service(t, url, file("bills"), root)
	both := []*keyring.Ring{orders, bills}
	until(t, both, "have the first key", func(set *keyring.Set) bool { return set.Lookup([]byte(kid)) != nil })

	next := run(over("keys", "rotate", "--now")...)
	until(t, both, "have the next key", func(set *keyring.Set) bool { return set.Lookup([]byte(next)) != nil })

	run(append(over("keys", "revoke", "--reason", "test"), "--", next)...)
	until(t, both, "have the revocation", func(set *keyring.Set) bool { return set.Revoked([]byte(next)) })

	// Bills leaves, and what it knew is taken back.
	run("keys", "roster", "sign", file("roster"), "--root", file("root"), "--remove", "bills")
	run(over("keys", "rewrap", "--roster", file("roster"))...)
	fresh := run(over("keys", "revoke", "--all", "--reason", "test")...)
	until(t, both[:1], "have the fresh key alone", func(set *keyring.Set) bool {
		return set.Revoked([]byte(kid)) && len(set.Keys()) == 1 && set.Lookup([]byte(fresh)) != nil
	})
	if err := orders.Ready(); err != nil {
		t.Errorf("orders is not ready: %v", err)
	}
	var holders struct {
		Generation uint64
		Nodes      []struct {
			Name, Host, Problem string
			Generation          uint64
		}
	}
	if err := json.Unmarshal([]byte(run(over("keys", "status", "-o", "json")...)), &holders); err != nil {
		t.Fatal(err)
	}
	if n := holders.Nodes; len(n) != 2 || n[0].Name != "bills" || n[0].Generation >= holders.Generation ||
		n[1].Name != "orders" || n[1].Generation != holders.Generation || n[1].Problem != "" || n[1].Host == "" {
		t.Errorf("status: got %+v, want bills behind and orders with generation %d", n, holders.Generation)
	}

	// A burn: a later epoch, and none of the keys before.
	run("keys", "roster", "sign", file("roster"), "--root", file("root"), "--epoch", "2")
	last := run(over("keys", "rewrap", "--roster", file("roster"))...)
	until(t, both[:1], "be in epoch 2", func(set *keyring.Set) bool {
		return set.Epoch() == 2 && len(set.Keys()) == 1 && set.Lookup([]byte(last)) != nil
	})
	if err := orders.Ready(); err != nil {
		t.Errorf("orders is not ready after the burn: %v", err)
	}
	if set := bills.Set(); set.Lookup([]byte(fresh)) != nil || set.Lookup([]byte(last)) != nil {
		t.Errorf("bills has left and got keys made since: %v", set)
	}
	status := run(over("keys", "status")...)
	if !strings.Contains(status, "2 nodes answered, 1 of them have this generation") ||
		!strings.Contains(status, "epoch 2, written by") || !strings.Contains(status, last) {
		t.Errorf("status: got %s, want epoch 2 with key %s", status, last)
	}
}

// service keeps the ring as a service does.
func service(t *testing.T, url, identity, root string) *keyring.Ring {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	store, err := natskv.New(nc, "waybill", "shop")
	if err != nil {
		t.Fatal(err)
	}
	id, err := agering.LoadIdentity(identity)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := agering.ParseRoots(root)
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := agering.New("shop", id, roots)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Maintain(context.Background(), store, wrapper, keyring.Domain("shop"),
		keyring.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	if _, err := store.Answer(id.Name(), ring); err != nil {
		t.Fatal(err)
	}
	return ring
}

// until waits for all rings to be as wanted.
func until(t *testing.T, rings []*keyring.Ring, what string, ok func(*keyring.Set) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i, ring := range rings {
		for !ok(ring.Set()) {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("after 10 s service %d has %v, want it to %s", i, ring.Set(), what)
			}
		}
	}
}
