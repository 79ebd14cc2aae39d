package natskvtest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

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

func startNode(t testing.TB, ctx context.Context, url string, w keyring.Wrapper) *node {
	t.Helper()
	nc := connect(t, url, nats.RetryOnFailedConnect(true))
	off := rand.N(2*skew) - skew
	now := func() time.Time { return time.Now().Add(off) }
	ring, err := keyring.Maintain(ctx, newStore(t, nc, "shop"), w, keyring.Domain("shop"),
		keyring.WithPolicy(fast), keyring.Clock(now), keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	t.Cleanup(func() { ring.Close() })
	auth, err := waybill.New("shop", ring, waybill.Clock(now), waybill.Life(life))
	check(t, err)
	return &node{ring, auth}
}

// fleet is many nodes that issue all the time, and open each other's tokens at once and late.
type fleet struct {
	nodes  []*node
	fail   bool // what is shown is that tokens fail
	kills  atomic.Int64
	opened atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex
	errors map[string]int
	kids   map[string]bool
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

// newFleet makes a ring in the bucket, and nodes that keep it, each with the wrapper that its number gives.
func newFleet(t testing.TB, ctx context.Context, url string, wrapper func(int) keyring.Wrapper) *fleet {
	t.Helper()
	operator := connect(t, url)
	first, err := fast.Genesis("shop", time.Now())
	check(t, err)
	check(t, keyring.Create(t.Context(), newStore(t, operator, "shop"), wrapper(0), first.WithEpoch(1)))
	f := &fleet{errors: map[string]int{}, kids: map[string]bool{}}
	for i := range nodes {
		f.nodes = append(f.nodes, startNode(t, ctx, url, wrapper(i)))
	}
	for i, n := range f.nodes {
		var why error
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if why = n.ring.Ready(); why == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("node %d is not ready: %v, %+v", i, why, n.ring.Stats())
			}
		}
	}
	return f
}

// live has the nodes live while attack goes on, says what happened, and fails the test if that is not what was to be shown.
// On a machine that is slow today a run takes longer, until it shows something; one that is to fail ends in its short form
// when it has.
func (f *fleet) live(t testing.TB, attack func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { f.run(ctx) })
	all.Go(func() {
		began := time.Now()
		for time.Since(began) < 3*(*soak) && !(f.shows() && (f.fail && *soak == brief || time.Since(began) >= *soak)) {
			pause(ctx, 50*time.Millisecond)
		}
		cancel()
	})
	began := time.Now()
	attack(ctx)
	all.Wait()

	var won, repairs uint64
	for _, n := range f.nodes {
		won += n.ring.Stats().CASWon
		repairs += n.ring.Stats().Repairs
	}
	t.Logf("%v, %d kills: %d of %d tokens failed; %d changes of the ring, %d repairs, %d keys used", time.Since(began).Round(time.Second),
		f.kills.Load(), f.failed.Load(), f.opened.Load(), won, repairs, f.used())
	if failed := f.failed.Load(); failed > 0 != f.fail {
		t.Errorf("%d of %d tokens failed, want some: %v; %v", failed, f.opened.Load(), f.fail, f.errors)
	}
	if !f.shows() {
		t.Errorf("%d tokens, %d kills and %d keys used show little", f.opened.Load(), f.kills.Load(), f.used())
	}
}

// shows reports whether enough has happened: failures where they are wanted, else tokens under several keys.
func (f *fleet) shows() bool {
	if f.kills.Load() < 2 {
		return false
	}
	if f.fail {
		return f.failed.Load() > 0
	}
	return f.opened.Load() >= 200*int64(*soak/time.Second) && f.used() >= 2
}

func (f *fleet) used() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kids)
}

// plain is the wrapper of runs that are not about sealing.
func plain(int) keyring.Wrapper { return keyring.InsecurePlaintext() }

// sealed has each node seal its rings as one of five services, as processes of a service share its identity. The first is
// the operator's.
func sealed(t testing.TB) func(int) keyring.Wrapper {
	t.Helper()
	o := newOffice(t, "operator", "orders", "pricing", "cart", "stock")
	names := []string{"operator", "orders", "pricing", "cart", "stock"}
	return func(i int) keyring.Wrapper { return o.wrapper(names[i%len(names)]) }
}
