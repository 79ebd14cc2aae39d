package keyring

import (
	"math/rand/v2"
	"sync"
	"time"
)

// chance spreads the work of the nodes over time. It is safe for concurrent use.
type chance struct {
	mu   sync.Mutex
	rand *rand.Rand // nil: the generator of the process
}

// newChance returns the chance of a ring. A test passes a seed, so that it can run the same course
// again.
func newChance(seed uint64) *chance {
	if seed == 0 {
		return &chance{}
	}
	return &chance{rand: rand.New(rand.NewPCG(seed, 2))}
}

// below returns a duration from 0 up to and excluding d, which must be greater than zero.
func (c *chance) below(d time.Duration) time.Duration {
	if c.rand == nil {
		return rand.N(d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.rand.Int64N(int64(d)))
}

// around returns d, give or take a fifth.
func (c *chance) around(d time.Duration) time.Duration {
	return d*4/5 + c.below(max(1, d*2/5))
}
