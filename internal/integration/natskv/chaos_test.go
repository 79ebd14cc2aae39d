package natskvtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/keyfault"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

var soak = flag.Duration("soak", 20*time.Second, "how long each run of the broken broker takes")

// The policy of these tests is the default one made faster: a key each second instead of each day, a factor of 86,400;
// the delay and the settling are 4 s and 3 s instead of 12 h and 60 s, as a broker needs its seconds to come back.
var fast = keyring.Policy{
	Period: time.Second, Delay: 4 * time.Second, Settle: 3 * time.Second, Poll: 300 * time.Millisecond,
	Horizon: 3 * time.Second, Slack: 30 * time.Second, MaxSkew: 300 * time.Millisecond, TokenLife: life,
}

const (
	life  = 2 * time.Second
	nodes = 20
	skew  = 200 * time.Millisecond // of a node's clock, to either side
	pace  = 10 * time.Millisecond  // between two tokens of a node
)

// node is one service: a connection, a clock, a ring that takes part in the rotation.
type node struct {
	ring *keyring.Ring
	auth *waybill.Authority
}

func startNode(t testing.TB, ctx context.Context, b *broker) *node {
	t.Helper()
	nc := connect(t, b.url(), nats.RetryOnFailedConnect(true))
	off := rand.N(2*skew) - skew
	now := func() time.Time { return time.Now().Add(off) }
	ring, err := keyring.Keep(ctx, newStore(t, nc, "shop"), keyring.InsecurePlaintext(), keyring.Domain("shop"),
		keyring.WithPolicy(fast), keyring.Clock(now), keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	t.Cleanup(func() { ring.Close() })
	auth, err := waybill.New("shop", ring, waybill.Clock(now), waybill.Life(life))
	check(t, err)
	return &node{ring, auth}
}

// fleet is many nodes that issue all the time, and open each other's tokens at once and late.
type fleet struct {
	nodes          []*node
	opened, failed atomic.Int64
	mu             sync.Mutex
	errors         map[string]int
	kids           map[string]bool
}

func (f *fleet) note(what string, err error) {
	if err == nil {
		return
	}
	f.failed.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors[what+": "+err.Error()]++
}

// run issues and opens until ctx ends, and returns when every token was opened.
func (f *fleet) run(ctx context.Context) {
	var all sync.WaitGroup
	open := func(token string) {
		f.opened.Add(1)
		_, err := f.nodes[rand.N(len(f.nodes))].auth.Open(token)
		f.note("open", err)
	}
	for _, n := range f.nodes {
		all.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(pace)
				wb, err := n.auth.Issue()
				if err != nil {
					f.note("issue", err)
					continue
				}
				f.mu.Lock()
				f.kids[wb.KeyID()] = true
				f.mu.Unlock()
				if rand.N(5) > 0 {
					open(wb.Token())
					continue
				}
				all.Go(func() {
					time.Sleep(rand.N(life))
					open(wb.Token())
				})
			}
		})
	}
	all.Wait()
}

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
func breakBroker(t testing.TB, ctx context.Context, b *broker, lose func(*broker, int)) (kills int) {
	operator := connect(t, b.url())
	spy, err := operator.SubscribeSync(natskv.NudgeSubject(bucket, "shop"))
	check(t, err)
	check(t, operator.Flush())
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	for ; ctx.Err() == nil; kills++ {
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
		lose(b, kills)
		wait(down)
		b.start()
		eventually(t, "the operator's bucket", func() bool { return natskv.Create(context.Background(), operator, bucket) == nil })
		wait(up)
	}
	return kills
}

// TestBrokenBroker: 20 nodes whose clocks differ by up to 400 ms and a key each second, 86,400 times the ordinary pace,
// while the broker is killed, loses its files or is set back. No token fails. Without the rule that it is about, some do.
func TestBrokenBroker(t *testing.T) {
	cases := []struct {
		name string
		off  keyfault.Off
		lose func(*broker, int)
		fail bool
	}{
		{"killed", keyfault.Off{}, nothingLost, false},
		{"killed, without settling", keyfault.Off{Gate: true}, nothingLost, true},
		{"wiped", keyfault.Off{}, wiped, false},
		{"set back", keyfault.Off{}, setBack, false},
		{"set back, without union", keyfault.Off{Union: true}, setBack, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := startBroker(t)
			operator := connect(t, b.url())
			check(t, natskv.Create(t.Context(), operator, bucket))
			first, err := fast.Genesis("shop", time.Now())
			check(t, err)
			check(t, keyring.Create(t.Context(), newStore(t, operator, "shop"), keyring.InsecurePlaintext(), first))

			f := &fleet{errors: map[string]int{}, kids: map[string]bool{}}
			for range nodes {
				f.nodes = append(f.nodes, startNode(t, keyfault.NewContext(t.Context(), c.off), b))
			}
			eventually(t, "a fleet that is ready", func() bool {
				return !slices.ContainsFunc(f.nodes, func(n *node) bool { return n.ring.Ready() != nil })
			})
			ctx, cancel := context.WithTimeout(t.Context(), *soak)
			defer cancel()
			var all sync.WaitGroup
			all.Go(func() { f.run(ctx) })
			kills := breakBroker(t, ctx, b, c.lose)
			all.Wait()

			var won, repairs uint64
			for _, n := range f.nodes {
				won += n.ring.Stats().CASWon
				repairs += n.ring.Stats().Repairs
			}
			t.Logf("%v, %d kills: %d of %d tokens failed; %d changes of the ring, %d repairs, %d keys used",
				*soak, kills, f.failed.Load(), f.opened.Load(), won, repairs, len(f.kids))
			if failed := f.failed.Load(); failed > 0 != c.fail {
				t.Errorf("%d of %d tokens failed, want some: %v; %v", failed, f.opened.Load(), c.fail, f.errors)
			}
			if f.opened.Load() < 200*int64(*soak/time.Second) || kills < 2 || !c.fail && len(f.kids) < 2 {
				t.Errorf("%d tokens, %d kills and %d keys used show little", f.opened.Load(), kills, len(f.kids))
			}
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
	old := startNode(t, t.Context(), b)
	check(t, old.ring.Ready())
	check(t, old.ring.Close()) // so that nobody puts the ring back before the test has looked

	b.kill()
	b.wipe()
	b.start()
	fresh := startNode(t, t.Context(), b)
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
