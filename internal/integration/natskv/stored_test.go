package natskvtest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// TestKeyOfStoredMessage: while a message waits in a stream for longer than Horizon, its key stays in the ring, on all
// nodes; when the stream is purged, the key goes. It runs 86,400 times as fast as the default policy, which is a key each
// second, with a Horizon of 3 s instead of 72 h, of which the keeper has half to act in.
func TestKeyOfStoredMessage(t *testing.T) {
	policy := keyring.Policy{Period: time.Second, Delay: 500 * time.Millisecond, Settle: 200 * time.Millisecond,
		Poll: 100 * time.Millisecond, Horizon: 3 * time.Second, Slack: time.Second, MaxSkew: 50 * time.Millisecond, TokenLife: time.Second}
	nc := connect(t, startServer(t).ClientURL())
	js, err := jetstream.New(nc)
	check(t, err)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}})
	check(t, err)
	check(t, natskv.Create(t.Context(), nc, bucket))
	first, err := policy.Genesis("shop", time.Now())
	check(t, err)
	check(t, keyring.Create(t.Context(), newStore(t, nc, "shop"), keyring.InsecurePlaintext(), first))
	oldest, err := natskv.OldestMessage(nc, "ORDERS")
	check(t, err)
	start := func(opts ...keyring.Option) *keyring.Ring {
		t.Helper()
		ring, err := keyring.Maintain(t.Context(), newStore(t, connect(t, nc.ConnectedUrl()), "shop"), keyring.InsecurePlaintext(),
			append(opts, keyring.Domain("shop"), keyring.WithPolicy(policy), keyring.Logger(slog.New(slog.DiscardHandler)))...)
		check(t, err)
		t.Cleanup(func() { ring.Close() })
		return ring
	}
	knows, other := start(keyring.NeededSince(oldest)), start()
	_, err = js.Publish(t.Context(), "orders", []byte("a message with a token"))
	check(t, err)
	key := first.Keys()[0]
	kid := []byte(key.ID())
	held := func(r *keyring.Ring) bool { return r.Set().Lookup(kid) != nil }

	for end := key.Times().Expires.Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !held(knows) || !held(other) {
			t.Fatalf("the key of a stored message is gone %v after its end", time.Since(key.Times().Expires))
		}
	}
	eventually(t, "later keys to come and go", func() bool {
		for _, k := range other.Set().Keys() {
			if k.Times().Created.After(key.Times().Expires) {
				return true
			}
		}
		return false
	})
	check(t, stream.Purge(t.Context()))
	purged := time.Now()
	eventually(t, "the end of a key that nothing needs", func() bool { return !held(knows) && !held(other) })
	t.Logf("gone %v after the purge, of which a Horizon of %v was promised", time.Since(purged).Round(time.Millisecond), policy.Horizon)
}
