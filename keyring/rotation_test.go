package keyring_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/internal/keyfault"
	"github.com/waybill-go/waybill/keyring"
)

var rules = keyfault.Off{} // all hold

// TestRotation: 20 nodes with clocks that differ rotate each second for three minutes.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &memory{}, brisk, 1)
		c.joinMany(20, rules)
		c.live(3 * time.Minute)
		c.wantNone("rotation")
		var won, unknown uint64
		for _, m := range c.nodes {
			won += m.Stats().CASWon
			unknown += m.Stats().CASUnknown
			noError(t, m.Ready())
		}
		if won < 160 || won > 190 || unknown != 0 {
			t.Errorf("got %d keys proposed in 180 s, want one each second", won)
		}
		if len(c.used) < 150 {
			t.Errorf("got %d keys used, want nearly all of %d", len(c.used), won)
		}
		if s := c.nodes[0].Stats(); s.Pending < 4 || s.Pending > 6 || s.Keys > 20 || s.Size == 0 || s.ActiveAge > 5*time.Second {
			t.Errorf("got %+v, want about 5 pending and at most 20 keys", s)
		}
	})
}

// TestRotationSlowsDown: with the default policy it is one key a day.
func TestRotationSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{ears: map[chan struct{}]int{}}
		c := newCrowd(t, store, keyring.DefaultPolicy(), 1)
		c.joinMany(3, rules)
		time.Sleep(14 * 24 * time.Hour)
		var won uint64
		for _, m := range c.nodes {
			won += m.Stats().CASWon
		}
		if won < 13 || won > 15 {
			t.Errorf("got %d keys in 14 days, want 14", won)
		}
		if n := c.nodes[0].Stats().Keys; n < 11 || n > 13 {
			t.Errorf("got %d keys alive, want 12", n)
		}
		if n := store.calls[1]; n > 100 {
			t.Errorf("got %d attempts to write, want about one per key", n)
		}
	})
}

// TestEveryCallFailsOnce: no error stops a loop.
func TestEveryCallFailsOnce(t *testing.T) {
	for _, every := range []int64{2, 3, 7} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, &memory{}, brisk, 2)
			c.joinMany(5, rules)
			c.live(5 * time.Second)
			for _, m := range c.nodes {
				m.cut.fails.Store(every)
			}
			c.live(time.Minute)
			c.wantNone("failing store")
			var n keyring.Stats
			for _, m := range c.nodes {
				s := m.Stats()
				n.CASWon += s.CASWon
				n.CASUnknown += s.CASUnknown
				n.Failures += s.Failures
			}
			if len(c.born) < 50 || n.CASUnknown == 0 || n.Failures == 0 {
				t.Errorf("every %d. call fails: got %d keys in 65 s, want nearly one each second; %+v", every, len(c.born), n)
			}
		})
	}
}

// TestOutageAtTheWorstMoment takes the store down just after it has acknowledged a key, for longer than the key's delay.
// Only the proposer holds it then, and its time comes.
func TestOutageAtTheWorstMoment(t *testing.T) {
	run := func(off keyfault.Off) (c *crowd) {
		synctest.Test(t, func(t *testing.T) {
			c = newCrowd(t, &memory{}, brisk, 3)
			c.joinMany(10, off)
			c.live(10 * time.Second)
			for range 6 {
				fell := make(chan struct{})
				c.store.do(func() {
					c.store.after = func(m *memory) { m.down, m.after = true, nil; close(fell) }
				})
				for down := false; !down; {
					c.live(100 * time.Millisecond)
					select {
					case <-fell:
						down = true
					default:
					}
				}
				c.live(brisk.Delay + time.Second)
				c.store.do(func() { c.store.down = false })
				c.live(10 * time.Second)
			}
		})
		return c
	}
	run(rules).wantNone("six outages")
	if c := run(keyfault.Off{Gate: true}); c.failures() < 10 {
		t.Errorf("without the gate: got %d of %d failed, want some: the test shows nothing", c.failures(), c.opened)
	}
}

// TestStoreLosesData rolls the store back, or wipes it: no token is refused, and within 4 s the store has every key again that
// any node had. Which node puts a key back, by a repair or along with its next proposal, is left to chance.
func TestStoreLosesData(t *testing.T) {
	const bound = 4 * time.Second
	run := func(off keyfault.Off, seed uint64, lose func(m *memory)) (c *crowd, missing int) {
		synctest.Test(t, func(t *testing.T) {
			c = newCrowd(t, &memory{}, brisk, seed)
			c.joinMany(10, off)
			c.live(10 * time.Second)
			for range 6 {
				had := map[string]time.Time{}
				for _, m := range c.nodes {
					for _, k := range m.Set().Keys() {
						had[k.ID()] = k.Times().Expires
					}
				}
				c.store.do(func() { lose(c.store) })
				c.live(bound)
				var data []byte
				c.store.do(func() { data = c.store.data })
				stored, err := keyring.ParseSet(data)
				for kid, expires := range had {
					alive := expires.After(time.Now().Add(2 * brisk.MaxSkew)) // nodes whose clock is ahead drop it earlier
					if alive && (err != nil || stored.Lookup([]byte(kid)) == nil) {
						missing++
					}
				}
				c.live(8*time.Second - bound)
			}
			for i, m := range c.nodes {
				if m.Set() != nil && m.Ready() != nil && off == rules {
					t.Errorf("node %d: got %v, want ready", i, m.Ready())
				}
			}
		})
		return c, missing
	}
	for name, loss := range map[string]func() func(*memory){
		"rollback": func() func(*memory) {
			var early []byte
			return func(m *memory) {
				if early != nil {
					m.data = early
				}
				early = m.old
				m.rev -= 2
			}
		},
		"wipe": func() func(*memory) { return func(m *memory) { m.data, m.rev = nil, 0 } },
	} {
		const seed = 4
		c, missing := run(rules, seed, loss())
		c.wantNone(name)
		if missing > 0 {
			t.Errorf("%s, seed %d: %d keys were not in the store %v after it had lost them", name, seed, missing, bound)
		}
		c, missing = run(keyfault.Off{Union: true}, seed, loss())
		if c.failures()+c.mute+missing == 0 {
			t.Errorf("%s, seed %d, without union: got no failure of %d: the test shows nothing", name, seed, c.opened)
		}
		t.Logf("%s, without union: %d of %d openings failed, %d times no key, %d keys missing", name, c.failures(), c.opened, c.mute, missing)
	}
}

// TestGenesis: of many operators one creates the ring, and nodes with any clock issue under its first key.
func TestGenesis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(200) {
			store := &memory{}
			c := newCrowd(t, store, brisk, seed)
			set, err := brisk.Genesis("shop", time.Now())
			noError(t, err)
			if err := keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), set); !errors.Is(err, keyring.ErrConflict) {
				t.Errorf("a second Create: got %v, want ErrConflict", err)
			}
			c.joinMany(20, rules)
			c.live(time.Second)
			c.wantNone("first second")
			if n := len(c.used); n != 1 {
				t.Errorf("got %d keys used, want the first", n)
			}
			for _, m := range c.nodes {
				m.Close()
			}
		}
	})
}

// TestNoNodeCreatesARing: an empty store stays empty, whoever watches it.
func TestNoNodeCreatesARing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		ring, err := keyring.Maintain(t.Context(), store, keyring.InsecurePlaintext(), keyring.Domain("shop"), keyring.WithPolicy(brisk), hush())
		noError(t, err)
		defer ring.Close()
		time.Sleep(time.Minute)
		if ring.Ready() == nil || ring.Set() != nil || store.calls[1] != 0 {
			t.Errorf("got ready %v, %v, %d writes; want nothing", ring.Ready(), ring.Set(), store.calls[1])
		}
		if _, err := ring.Rotate(t.Context()); !errors.Is(err, keyring.ErrNotFound) {
			t.Errorf("Rotate: got %v, want ErrNotFound", err)
		}
		set, err := brisk.Genesis("shop", time.Now())
		noError(t, err)
		noError(t, keyring.Create(t.Context(), store, keyring.InsecurePlaintext(), set))
		time.Sleep(time.Second)
		noError(t, ring.Ready())
	})
}

// TestWildClock: a node whose clock is far off, by 45 periods, neither stops the rotation nor is ready.
func TestWildClock(t *testing.T) {
	run := func(off keyfault.Off) (used, born int) {
		synctest.Test(t, func(t *testing.T) {
			policy := brisk
			policy.Horizon, policy.Slack = 30*time.Second, 20*time.Second
			c := newCrowd(t, &memory{}, policy, 5)
			c.joinMany(8, off)
			ahead := c.join(45*time.Second, off)
			behind := c.join(-45*time.Second, off)
			c.nodes = c.nodes[:8]
			c.live(40 * time.Second)
			used, born = len(c.used), len(c.born)
			if off != rules {
				return
			}
			c.wantNone("beside wild clocks")
			for _, m := range []*member{ahead, behind} {
				if s := m.Stats(); !errors.Is(m.Ready(), keyring.ErrClock) || s.CASWon+s.CASLost+s.Repairs != 0 || s.ClockOffset.Abs() < 44*time.Second {
					t.Errorf("got ready %v and %+v, want a node that does nothing", m.Ready(), s)
				}
				if _, err := m.Rotate(t.Context()); !errors.Is(err, keyring.ErrClock) {
					t.Errorf("Rotate: got %v, want ErrClock", err)
				}
			}
		})
		return used, born
	}
	if used, born := run(rules); used*10 < born*8 {
		t.Errorf("got %d of %d keys used, want at least 80 %%", used, born)
	}
	if used, born := run(keyfault.Off{Guard: true}); used*10 >= born*8 {
		t.Errorf("without the guard: got %d of %d keys used, want fewer: the test shows nothing", used, born)
	}
}

// TestWildClockOfAStoreWithoutOne: the others do not take a key that is made in their future, so that their schedule goes on.
func TestWildClockOfAStoreWithoutOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &memory{silent: true}, brisk, 6)
		c.joinMany(8, rules)
		c.join(time.Hour, rules)
		c.nodes = c.nodes[:8]
		c.live(90 * time.Second)
		c.wantNone("beside a wild clock")
		if len(c.used) < 70 {
			t.Errorf("got %d keys used, want about one each second", len(c.used))
		}
	})
}

// TestCutOffNode: for less than the delay that costs nothing, after that the node knows that it is not ready.
func TestCutOffNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &memory{}, brisk, 7)
		c.joinMany(10, rules)
		c.live(10 * time.Second)
		lone := c.nodes[3]
		lone.cut.off.Store(true)
		c.live(brisk.Delay / 2)
		lone.cut.off.Store(false)
		c.live(10 * time.Second)
		c.wantNone("cut off for half the delay")
		noError(t, lone.Ready())

		lone.cut.off.Store(true)
		c.live(2 * brisk.Delay)
		if got := c.failures(); got == 0 || got != c.failed[3] {
			t.Errorf("cut off for twice the delay: got failures %v, want some, of node 3 only", c.failed)
		}
		if err := lone.Ready(); !errors.Is(err, errDown) || !errors.Is(err, keyring.ErrUnconfirmed) {
			t.Errorf("got %v, want a node that is not ready, and why", err)
		}
		if age := lone.Stats().ContactAge; age < 9*time.Second || age > 11*time.Second {
			t.Errorf("got contact age %v, want 10 s", age)
		}
		lone.cut.off.Store(false)
		c.live(5 * time.Second)
		noError(t, lone.Ready())
	})
}

// TestSlowestClockProposes: the delay has to exceed what it takes to reach all, and twice the clock error.
func TestSlowestClockProposes(t *testing.T) {
	run := func(delay time.Duration, off keyfault.Off) int {
		var failed int
		synctest.Test(t, func(t *testing.T) {
			policy := brisk
			policy.MaxSkew, policy.Delay, policy.Slack = time.Second, delay, 10*time.Second
			policy.Period = 2 * time.Second
			store := &memory{}
			c := newCrowd(t, store, brisk, 8)
			c.policy = policy
			c.join(-time.Second, off)
			c.follow = true
			for range 5 {
				c.join(time.Second, off)
			}
			c.live(time.Minute)
			failed = c.failures()
		})
		return failed
	}
	if got := run(6*time.Second, rules); got != 0 {
		t.Errorf("got %d failures, want none", got)
	}
	if got := run(time.Second, keyfault.Off{Validate: true, Gate: true}); got == 0 {
		t.Error("with too short a delay: got no failure: the test shows nothing")
	}
}

func TestRotateAndRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := keyring.Policy{Protections: []keyring.Protection{keyring.Signed, keyring.Public}}
		store := &memory{ears: map[chan struct{}]int{}}
		c := newCrowd(t, store, keyring.DefaultPolicy(), 9)
		c.policy = policy
		c.joinMany(0, rules)
		for range 20 {
			c.join(0, rules)
		}
		time.Sleep(2 * time.Minute) // until all have settled
		first := c.nodes[0].Active(keyring.Signed, time.Now(), time.Now())
		ctx := t.Context()
		made, err := c.nodes[0].Rotate(ctx)
		noError(t, err)
		if len(made) != 2 {
			t.Fatalf("got %v, want a key of each algorithm", made)
		}
		time.Sleep(time.Second)
		for i, m := range c.nodes {
			if m.Set().Lookup([]byte(made[0].ID())) == nil {
				t.Errorf("node %d: got no key %s a second after the rotation", i, made[0])
			}
		}
		time.Sleep(policy.MinDelay() + time.Minute)
		if got := c.nodes[1].Active(keyring.Signed, time.Now(), time.Now()); got == nil || got.ID() != made[0].ID() {
			t.Errorf("got %v active, want %v", got, made[0])
		}

		noError(t, c.nodes[2].Revoke(ctx, made[0].ID(), "test"))
		noError(t, c.nodes[3].Revoke(ctx, made[0].ID(), "again"))
		noError(t, c.nodes[4].Revoke(ctx, first.ID(), "the last one"))
		time.Sleep(time.Second)
		for i, m := range c.nodes {
			set := m.Set()
			if !set.Revoked([]byte(made[0].ID())) || !set.Revoked([]byte(first.ID())) || set.Lookup([]byte(first.ID())) != nil {
				t.Errorf("node %d: got %v, want both keys revoked", i, set)
			}
			if got := m.Active(keyring.Signed, time.Now(), time.Now().Add(time.Hour)); got == nil {
				t.Errorf("node %d: got no active key, want a new one", i)
			}
			if m.Unknown([]byte(first.ID())) || m.Stats().RevokedUsed != 1 {
				t.Errorf("node %d: got %d uses of a revoked key, want 1", i, m.Stats().RevokedUsed)
			}
		}
		if got := c.nodes[0].Set().Revocations()[made[0].ID()].Reason; got != "test" {
			t.Errorf("got reason %q, want the first", got)
		}
		if err := c.nodes[0].Revoke(ctx, "AAAAAAAAAAA", ""); err == nil {
			t.Error("Revoke of a key that is not there: got no error")
		}
		store.do(func() { store.down = true })
		brief, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := c.nodes[0].Rotate(brief); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errDown) {
			t.Errorf("Rotate while the store is down: got %v, want both causes", err)
		}
	})
	plain := keyring.NewRing(nil)
	if _, err := plain.Rotate(t.Context()); !errors.Is(err, keyring.ErrFollows) {
		t.Errorf("Rotate of a ring without a store: got %v, want ErrFollows", err)
	}
}

// TestStoredMessagesKeepTheirKeys: a key stays while a message of its time is stored, on every node.
func TestStoredMessagesKeepTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, &memory{}, brisk, 10)
		var oldest atomic.Pointer[time.Time]
		begin := time.Now()
		oldest.Store(&begin)
		c.join(0, rules, keyring.NeededSince(func(context.Context) (time.Time, error) {
			if at := oldest.Load(); at != nil {
				return *at, nil
			}
			return time.Time{}, nil
		}))
		c.join(0, rules)
		kid := []byte(c.nodes[0].Set().Keys()[0].ID())
		time.Sleep(30 * time.Second)
		for i, m := range c.nodes {
			if m.Set().Lookup(kid) == nil {
				t.Errorf("node %d: the key of a stored message is gone after 30 s", i)
			}
		}
		oldest.Store(nil)
		time.Sleep(10 * time.Second)
		for i, m := range c.nodes {
			if m.Set().Lookup(kid) != nil {
				t.Errorf("node %d: the key stays when nothing needs it", i)
			}
		}
	})
}
