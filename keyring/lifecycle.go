package keyring

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// State is the state of a key. It is derived from the key's times, its set and the clock; it is
// never stored.
type State uint8

// The states of a key. Pending, active and retired keys open tokens; only active keys issue them.
const (
	Absent    State = iota // the set has no key with this kid
	Pending                // its NotBefore has not come
	Active                 // of its protection the one with the latest NotBefore that has passed
	Retired                // a newer key is active
	Gone                   // expired, and KeepUntil has passed
	Revoked                // revoked before it expired
	Ambiguous              // two different keys have its kid: neither is used
)

// String returns the state in lower case.
func (s State) String() string {
	names := [...]string{"absent", "pending", "active", "retired", "gone", "revoked", "ambiguous"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// State returns the state of a key at now.
func (s *Set) State(kid string, now time.Time) State {
	if s == nil {
		return Absent
	}
	if _, ok := s.revoked[kid]; ok {
		return Revoked
	}
	if _, ok := s.ambiguous[kid]; ok {
		return Ambiguous
	}
	k := s.byID[kid]
	switch {
	case k == nil:
		return Absent
	case k.over(now):
		return Gone
	case k.times.NotBefore.After(now):
		return Pending
	case k == s.newest(k.protection, now):
		return Active
	}
	return Retired
}

// newest returns the active key at now. In a ring of public halves that is the key whose private
// half issues elsewhere.
func (s *Set) newest(protection Protection, now time.Time) *Key {
	if k := s.Active(protection, now, now); k != nil {
		return k
	}
	for _, k := range s.keys {
		if k.protection == protection && !k.times.NotBefore.After(now) && !k.Gone(now) {
			return k
		}
	}
	return nil
}

// KeepUntil returns until when the key stays in its ring after it has expired, because stored
// messages still need it, or the zero time if they do not. It is the only property of a key that
// changes, and it only grows.
func (k *Key) KeepUntil() time.Time {
	if k == nil {
		return time.Time{}
	}
	return k.keep
}

// kept returns a key that is kept at least until t. It shares the codec with k.
func (k *Key) kept(t time.Time) *Key {
	if t.IsZero() || !t.After(k.keep) {
		return k
	}
	c := *k
	c.keep = time.Unix(t.Unix(), 0).UTC()
	return &c
}

// ends returns when the key may leave its ring; zero: never.
func (k *Key) ends() time.Time {
	if k.keep.After(k.times.Expires) {
		return k.keep
	}
	return k.times.Expires
}

func (k *Key) over(now time.Time) bool { return !k.times.Expires.IsZero() && now.After(k.ends()) }

// Prune returns the set without the keys that have expired and are no longer kept, and without the
// marks of such keys. The margin is the largest difference between two clocks. A mark stays a
// margin longer than its key would, so that a node with a late clock cannot bring a revoked key
// back.
func (s *Set) Prune(now time.Time, margin time.Duration) *Set {
	if s == nil {
		return nil
	}
	over := func(until time.Time) bool { return !until.IsZero() && now.After(until.Add(2*margin)) }
	keep := func(k *Key) bool { return !k.over(now.Add(-margin)) }
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(k *Key) bool { return !keep(k) })
	revoked, ambiguous := maps.Clone(s.revoked), maps.Clone(s.ambiguous)
	maps.DeleteFunc(revoked, func(_ string, r Revocation) bool { return over(r.Until) })
	maps.DeleteFunc(ambiguous, func(_ string, until time.Time) bool { return over(until) })
	if len(keys) == len(s.keys) && len(revoked) == len(s.revoked) && len(ambiguous) == len(s.ambiguous) {
		return s
	}
	return must(newSet(s.head, keys, revoked, ambiguous))
}

// must is for sets that are made from parts of a valid set.
func must(s *Set, err error) *Set {
	if err != nil {
		panic(err)
	}
	return s
}

// Revoke returns the next generation of the set, in which a mark without key material replaces the
// key, so that it neither opens nor issues. If the key is revoked already, Revoke returns s.
func (s *Set) Revoke(kid string, at time.Time, reason string) (*Set, error) {
	if s == nil {
		s = new(Set)
	}
	if _, ok := s.revoked[kid]; ok {
		return s, nil
	}
	k := s.byID[kid]
	if k == nil {
		return nil, fmt.Errorf("keyring: the ring has no key %.64q to revoke", kid)
	}
	if k.foreign {
		return nil, errors.New("keyring: a foreign key cannot be revoked: remove it from its file")
	}
	if len(reason) > 256 {
		return nil, errors.New("keyring: the reason is longer than 256 bytes")
	}
	revoked := maps.Clone(s.revoked)
	if revoked == nil {
		revoked = map[string]Revocation{}
	}
	revoked[kid] = Revocation{time.Unix(at.Unix(), 0).UTC(), reason, k.ends()}
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(o *Key) bool { return o == k })
	return newSet(s.next(), keys, revoked, s.ambiguous)
}

// Keep returns the next generation of the set, in which the keys with these kids stay at least
// until t. If no key has to stay longer than it does, Keep returns s.
func (s *Set) Keep(t time.Time, kids ...string) *Set {
	if s == nil {
		return nil
	}
	keys, changed := slices.Clone(s.keys), false
	for i, k := range keys {
		if !slices.Contains(kids, k.kid) || k.foreign {
			continue
		}
		keys[i] = k.kept(t)
		changed = changed || keys[i] != k
	}
	if !changed {
		return s
	}
	return must(newSet(s.next(), keys, s.revoked, s.ambiguous))
}
