package keyring_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill/internal/keyfault"
	"github.com/waybill-go/waybill/keyring"
)

// memory is a store that can be out of order in every way.
type memory struct {
	sync.Mutex
	data   []byte
	rev    uint64
	old    []byte // what was there before the last change
	down   bool
	calls  [2]int                // of Load and CompareAndSwap
	after  func(m *memory)       // called after each change, locked
	silent bool                  // the store says no time
	ears   map[chan struct{}]int // nudged after each change
}

var errDown = errors.New("the store is down")

func (m *memory) Load(context.Context) (keyring.Blob, error) {
	m.Lock()
	defer m.Unlock()
	m.calls[0]++
	if m.down {
		return keyring.Blob{}, errDown
	}
	var at time.Time
	if !m.silent {
		at = time.Now()
	}
	if m.data == nil {
		return keyring.Blob{At: at}, keyring.ErrNotFound
	}
	return keyring.Blob{Data: m.data, Revision: m.rev, At: at}, nil
}

func (m *memory) CompareAndSwap(_ context.Context, prev uint64, data []byte) (uint64, error) {
	m.Lock()
	defer m.Unlock()
	m.calls[1]++
	if m.down {
		return 0, errDown
	}
	if current := m.rev; m.data == nil && prev != 0 || m.data != nil && prev != current {
		return 0, keyring.ErrConflict
	}
	m.rev++
	m.old, m.data = m.data, data
	rev := m.rev
	if m.after != nil {
		m.after(m)
	}
	for ear := range m.ears {
		select {
		case ear <- struct{}{}:
		default:
		}
	}
	return rev, nil
}

func (m *memory) Nudges(ctx context.Context) <-chan struct{} {
	m.Lock()
	defer m.Unlock()
	if m.ears == nil {
		return nil
	}
	ear := make(chan struct{}, 1)
	m.ears[ear] = 1
	context.AfterFunc(ctx, func() {
		m.Lock()
		defer m.Unlock()
		if m.ears[ear] == 1 {
			delete(m.ears, ear)
			close(ear)
		}
	})
	return ear
}

func (m *memory) do(f func()) {
	m.Lock()
	defer m.Unlock()
	f()
}

// reads returns how often the store was read.
func (m *memory) reads() int {
	m.Lock()
	defer m.Unlock()
	return m.calls[0]
}

// cut is the store as one node sees it: behind a network that can be cut, and that loses calls.
//
// What is lost is counted per node. Counted over all of them, an unlucky node could lose every one of its reads for
// longer than the delay, which is more than a delay promises to bridge.
type cut struct {
	*memory
	off   atomic.Bool
	fails atomic.Int64    // every so many of this node's calls fail, of each method
	calls [2]atomic.Int64 // of Load and CompareAndSwap, since there was anything to fail
}

// lost reports whether this call of a method fails, and how many did.
func (c *cut) lost(method int) (bool, int64) {
	every := c.fails.Load()
	if every == 0 {
		return false, 0
	}
	n := c.calls[method].Add(1)
	return n%every == 0, n / every
}

func (c *cut) Load(ctx context.Context) (keyring.Blob, error) {
	if lost, _ := c.lost(0); lost || c.off.Load() {
		return keyring.Blob{}, errDown
	}
	return c.memory.Load(ctx)
}

// CompareAndSwap fails, when it does, every other time after it has written.
func (c *cut) CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error) {
	lost, n := c.lost(1)
	if c.off.Load() || lost && n%2 == 0 {
		return 0, errDown
	}
	rev, err := c.memory.CompareAndSwap(ctx, prev, data)
	if lost {
		return 0, errDown
	}
	return rev, err
}

// brisk is a policy of which a year passes in minutes.
var brisk = keyring.Policy{
	Period: time.Second, Delay: 5 * time.Second, Settle: 2 * time.Second, Poll: 500 * time.Millisecond,
	Horizon: 3 * time.Second, Slack: 5 * time.Second, MaxSkew: 200 * time.Millisecond, TokenLife: 2 * time.Second,
}

// crowd is many nodes of one store. Each issues tokens that the others open.
type crowd struct {
	t      *testing.T
	store  *memory
	policy keyring.Policy
	rand   *rand.Rand
	nodes  []*member
	follow bool // those that join do not propose

	mail   []letter
	opened int
	failed map[int]int // openings, by node
	mute   int         // times at which a node had no key to issue with
	used   map[string]bool
	born   map[string]bool // keys that any node ever held
}

type member struct {
	*keyring.Ring
	cut *cut
	now func() time.Time
}

// letter is a token, to be opened at a node.
type letter struct {
	kid string
	to  int
	at  time.Time
}

func hush() keyring.Option { return keyring.Logger(slog.New(slog.DiscardHandler)) }

func newCrowd(t *testing.T, store *memory, policy keyring.Policy, seed uint64) *crowd {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed of the course is %d", seed)
		}
	})
	c := &crowd{t: t, store: store, policy: policy, rand: rand.New(rand.NewPCG(seed, 1)),
		failed: map[int]int{}, used: map[string]bool{}, born: map[string]bool{}}
	set, err := keyring.Policy{MaxSkew: policy.MaxSkew, Period: policy.Period, Delay: policy.Delay, Settle: policy.Settle, Poll: policy.Poll,
		Horizon: policy.Horizon, Slack: policy.Slack, TokenLife: policy.TokenLife, Protections: []keyring.Protection{keyring.Signed}}.
		Genesis("shop", time.Now())
	noError(t, err)
	noError(t, keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), set))
	return c
}

// join adds a node whose clock is wrong by skew.
func (c *crowd) join(skew time.Duration, off keyfault.Off, opts ...keyring.Option) *member {
	c.t.Helper()
	m := &member{cut: &cut{memory: c.store}, now: func() time.Time { return time.Now().Add(skew) }}
	opts = append([]keyring.Option{keyring.Domain("shop"), keyring.WithPolicy(c.policy), keyring.Clock(m.now), hush()}, opts...)
	var ring *keyring.Ring
	var err error
	off.Seed = c.rand.Uint64()
	ctx := keyfault.NewContext(c.t.Context(), off)
	if c.follow {
		ring, err = keyring.Follow(ctx, m.cut, append(opts, keyring.Wrapped(keyring.InsecurePlaintext()))...)
	} else {
		ring, err = keyring.Maintain(ctx, m.cut, keyring.InsecurePlaintext(), opts...)
	}
	noError(c.t, err)
	c.t.Cleanup(func() { ring.Close() })
	m.Ring = ring
	c.nodes = append(c.nodes, m)
	return m
}

// joinMany adds nodes whose clocks are wrong by up to MaxSkew.
func (c *crowd) joinMany(n int, off keyfault.Off) {
	for range n {
		eps := int64(c.policy.MaxSkew)
		c.join(time.Duration(c.rand.Int64N(2*eps+1)-eps), off)
	}
}

// live lets tokens travel for d. Every tenth of a second each node issues one, which another opens, now or at any time in
// its life.
func (c *crowd) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, m := range c.nodes {
			now := m.now()
			key := m.Active(keyring.Signed, now, now.Add(c.policy.TokenLife))
			if key == nil {
				c.mute++
				continue
			}
			c.used[key.ID()] = true
			var later time.Duration
			if c.rand.IntN(5) == 0 {
				later = time.Duration(c.rand.Int64N(int64(c.policy.TokenLife)))
			}
			c.mail = append(c.mail, letter{kid: key.ID(), to: c.rand.IntN(len(c.nodes)), at: time.Now().Add(later)})
		}
		var waiting []letter
		for _, l := range c.mail {
			if l.at.After(time.Now()) {
				waiting = append(waiting, l)
				continue
			}
			c.opened++
			if c.nodes[l.to].Set().Lookup([]byte(l.kid)) == nil {
				c.failed[l.to]++
			}
		}
		c.mail = waiting
		for _, k := range c.nodes[0].Set().Keys() {
			c.born[k.ID()] = true
		}
	}
}

func (c *crowd) failures() int {
	sum := 0
	for _, n := range c.failed {
		sum += n
	}
	return sum
}

// wantNone fails the test if a token was refused, or could not be issued.
func (c *crowd) wantNone(what string) {
	c.t.Helper()
	if c.failures() > 0 || c.mute > 0 || c.opened == 0 {
		c.t.Errorf("%s: got %d of %d openings failed (by node: %v), %d times no key; want none", what, c.failures(), c.opened, c.failed, c.mute)
	}
	c.t.Logf("%s: %d of %d openings failed, %d keys used", what, c.failures(), c.opened, len(c.used))
}
