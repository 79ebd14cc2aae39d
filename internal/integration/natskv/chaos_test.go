package natskvtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/waybill-go/waybill/internal/keyfault"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

const brief = 20 * time.Second

var soak = flag.Duration("soak", brief, "how long each run of the broken broker takes")

// nothingLost leaves the broker's files as the kill left them.
func nothingLost(*broker, int) {}

func wiped(b *broker, _ int) { b.wipe() }

// setBack gives the broker what it had at the kill before.
func setBack(b *broker, kill int) {
	copyOf := func(n int) string { return fmt.Sprintf("%s.%d", b.dir, n) }
	check(b.t, os.CopyFS(copyOf(kill), os.DirFS(b.dir)))
	if kill > 0 {
		check(b.t, os.RemoveAll(b.dir))
		check(b.t, os.Rename(copyOf(kill-1), b.dir))
	}
}

// breakBroker kills the broker again and again until ctx ends, every other time at the worst moment: when one node knows
// of a new key and nobody else can, for longer than it takes until that key's time has come.
func (f *fleet) breakBroker(t testing.TB, ctx context.Context, b *broker, lose func(*broker, int)) {
	operator := connect(t, b.url())
	spy, err := operator.SubscribeSync(natskv.NudgeSubject(bucket, "shop"))
	check(t, err)
	check(t, operator.Flush())
	for kills := 0; ctx.Err() == nil; kills++ {
		down, up := 100*time.Millisecond+rand.N(time.Second), time.Second+rand.N(time.Second)
		if kills%2 == 0 {
			down, up = fast.Delay+time.Second/2+rand.N(time.Second), fast.Settle+3*time.Second/2
			for old, _, _ := spy.Pending(); old > 0; old-- {
				_, err := spy.NextMsg(patience)
				check(t, err)
			}
			_, _ = spy.NextMsgWithContext(ctx)
		}
		b.kill()
		f.kills.Add(1)
		lose(b, kills)
		pause(ctx, down)
		b.start()
		eventually(t, "the operator's bucket", func() bool { return natskv.Create(context.Background(), operator, bucket) == nil })
		pause(ctx, up)
	}
}

// TestBrokenBroker: 20 nodes whose clocks differ by up to 400 ms and a key each second, 86,400 times the ordinary pace,
// while the broker is killed, loses its files or is set back. No token fails. Without the rule that it is about, some do.
func TestBrokenBroker(t *testing.T) {
	cases := []struct {
		name string
		off  keyfault.Off
		lose func(*broker, int)
		seal bool // the ring is an age file; else that costs what it need not
		fail bool
	}{
		{name: "killed", lose: nothingLost, seal: true},
		{name: "killed, without settling", off: keyfault.Off{Gate: true}, lose: nothingLost, fail: true},
		{name: "wiped", lose: wiped, seal: true},
		{name: "set back", lose: setBack},
		{name: "set back, without union", off: keyfault.Off{Union: true}, lose: setBack, fail: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := startBroker(t)
			check(t, natskv.Create(t.Context(), connect(t, b.url()), bucket))
			wrapper := plain
			if c.seal {
				wrapper = sealed(t)
			}
			f := newFleet(t, keyfault.NewContext(t.Context(), c.off), b.url(), wrapper)
			f.fail = c.fail
			f.live(t, func(ctx context.Context) { f.breakBroker(t, ctx, b, c.lose) })
		})
	}
}

// A node that starts while the broker is empty waits for the others' keys. It makes none, and is not ready.
func TestFreshNodeDuringWipe(t *testing.T) {
	b := startBroker(t)
	operator := connect(t, b.url())
	check(t, natskv.Create(t.Context(), operator, bucket))
	store := newStore(t, operator, "shop")
	first, err := fast.Genesis("shop", time.Now())
	check(t, err)
	check(t, keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), first))
	old := startNode(t, t.Context(), b.url(), keyring.InsecurePlaintext())
	check(t, old.ring.Ready())
	check(t, old.ring.Close()) // so that nobody puts the ring back before the test has looked

	b.kill()
	b.wipe()
	b.start()
	fresh := startNode(t, t.Context(), b.url(), keyring.InsecurePlaintext())
	idle := func(when string) {
		t.Helper()
		for end := time.Now().Add(4 * fast.Poll); time.Now().Before(end); time.Sleep(fast.Poll / 10) {
			_, err := fresh.auth.Issue()
			if ready := fresh.ring.Ready(); ready == nil || err == nil || fresh.ring.Set() != nil {
				t.Fatalf("%s: ready %v, issues with error %v from %v, want a node without keys", when, ready, err, fresh.ring.Set())
			}
		}
	}
	idle("without a bucket")
	eventually(t, "the operator's connection", operator.IsConnected)
	check(t, natskv.Create(t.Context(), operator, bucket))
	idle("with an empty bucket")
	if _, err := store.Load(t.Context()); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("the bucket of a fresh node: error %v, want %v", err, keyring.ErrNotFound)
	}
	// What a node that still has the keys does.
	_, err = store.CompareAndSwap(t.Context(), 0, old.ring.Set().SecretJWKS())
	check(t, err)
	eventually(t, "the fresh node's keys", func() bool { return fresh.ring.Ready() == nil })
	wb, err := old.auth.Issue()
	check(t, err)
	if _, err := fresh.auth.Open(wb.Token()); err != nil {
		t.Errorf("the fresh node opens a token of the old one: error %v, want none", err)
	}
}
