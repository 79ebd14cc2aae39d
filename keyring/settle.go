package keyring

import (
	"maps"
	"math"
	"time"
)

// sightings contains since when every read of the store has shown a key. A read that fails, or
// shows that the key is gone, ends the sighting: other nodes may have been unable to fetch the key
// at that time.
type sightings map[string]sighting

type sighting struct {
	since, last time.Duration // by the ring's clock
}

// see records what the store has. After a gap longer than window, for example because the machine
// slept, all sightings begin anew.
func (h sightings) see(set *Set, now, window time.Duration) {
	maps.DeleteFunc(h, func(kid string, at sighting) bool { return set.byID[kid] == nil || now-at.last > window })
	for _, k := range set.keys {
		at, ok := h[k.kid]
		if !ok {
			at.since = now
		}
		at.last = now
		h[k.kid] = at
	}
}

// settled returns the keys that have been seen for long enough.
func (h sightings) settled(now, settle time.Duration) []string {
	var kids []string
	for kid, at := range h {
		if now-at.since >= settle {
			kids = append(kids, kid)
		}
	}
	return kids
}

// due returns when the next key may have settled. The store must be read then.
func (h sightings) due(set *Set, r *Ring, settle time.Duration) time.Duration {
	r.swap.Lock()
	defer r.swap.Unlock()
	due := time.Duration(math.MaxInt64)
	for kid, at := range h {
		if !r.settled[kid] && set.byID[kid] != nil {
			due = min(due, at.since+settle)
		}
	}
	return due
}
