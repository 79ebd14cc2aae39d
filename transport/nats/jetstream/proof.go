package waybilljetstream

import "sync/atomic"

// strangers is how many messages in a row, from the first on, may be refused for an unknown key.
const strangers = 20

// proof tells whether a ring is the right one for the messages of a run: it has opened one of them.
// Without it, a ring that knows none of their keys is probably another domain's, or another
// environment's.
type proof struct {
	found   atomic.Bool
	unknown atomic.Int64 // messages refused for an unknown key
}

// opened notes that the ring has opened a waybill.
func (p *proof) opened() {
	if !p.found.Load() {
		p.found.Store(true)
	}
}

// refused notes a message with an unknown key. It reports whether the ring is doubted from now on.
func (p *proof) refused() bool { return !p.found.Load() && p.unknown.Add(1) == strangers }

// doubted reports whether the ring may be the wrong one.
func (p *proof) doubted() bool { return p != nil && !p.found.Load() && p.unknown.Load() >= strangers }
