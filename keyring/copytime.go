package keyring

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// DefaultCopyTime is the time within which a new version of a plain ring file reaches every node,
// unless [CopyTime] sets another.
const DefaultCopyTime = 3 * time.Minute

// CopyTime sets the time within which a new version of a plain ring file reaches every node;
// [DefaultCopyTime] by default. Until a kid has been unknown for so long, [Ring.Excludes] returns
// false, because this node may have an old copy of the file. Zero switches that off. CopyTime is an
// error for any source other than a plain [File] or [FileStore].
func CopyTime(d time.Duration) Option {
	return option(func(c *config) { c.copying, c.copyingSet = d, true })
}

// copyTime returns the copying time of a source; zero: the source is read by all nodes.
func (c config) copyTime(source Source) (time.Duration, error) {
	file := false
	switch source.(type) {
	case File, FileStore:
		file = c.wrapper == nil
	}
	switch {
	case !c.copyingSet && file:
		return DefaultCopyTime, nil
	case c.copyingSet && !file:
		return 0, errors.New("keyring: CopyTime is for plain ring files only: leave it out")
	case c.copying < 0:
		return 0, fmt.Errorf("keyring: the copying time %v must not be negative", c.copying)
	}
	return c.copying, nil
}

// maxStrangers bounds the table of unknown kids.
const maxStrangers = 1024

// strangers contains when unknown kids were first seen, for the latest of them.
type strangers struct {
	copying time.Duration // 0: no kid waits

	mu    sync.Mutex
	since map[string]time.Duration // by the ring's clock
	order []string                 // a ring buffer, which is full at maxStrangers
	next  int                      // in order, the oldest one once it is full
}

// settled reports whether the kid has been unknown for the copying time. A kid that does not fit
// into the table is settled at once: only kids that have settled make room, so that invented kids
// neither grow the table nor keep others from settling.
func (s *strangers) settled(kid []byte, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.since[string(kid)]; ok {
		return now-at >= s.copying
	}
	name := string(kid)
	switch {
	case len(s.order) < maxStrangers:
		s.order = append(s.order, name)
	case now-s.since[s.order[s.next]] >= s.copying:
		delete(s.since, s.order[s.next])
		s.order[s.next] = name
		s.next = (s.next + 1) % maxStrangers
	default:
		return true
	}
	if s.since == nil {
		s.since = map[string]time.Duration{}
	}
	s.since[name] = now
	return false
}

// Excludes reports whether it is certain that no key of the domain has this kid, so that a token
// under it is the sender's fault. While it is not certain, the token may be under a new key that
// this node does not have yet. Excludes returns false unless the ring is fresh. In a plain ring file
// it also returns false from when it is first asked about an unknown kid until [CopyTime] has
// passed, for at most 1,024 kids at a time.
func (r *Ring) Excludes(kid []byte) bool {
	fresh := r.Fresh()
	if r == nil || r.follower == nil || r.follower.strangers.copying == 0 {
		return fresh
	}
	f := r.follower
	if r.Set().Lookup(kid) != nil || r.Set().Revoked(kid) || !f.foreign && !kidForm(kid) {
		return fresh
	}
	return f.strangers.settled(kid, r.since()) && fresh
}
