package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Union returns the set with everything that s and o contain. It is commutative, associative and
// idempotent: nodes that have exchanged their sets, in any order and any number of times, have the
// same set.
//
//   - A later epoch replaces an earlier one as a whole.
//   - A revocation replaces the key; of two revocations, the earlier one stays.
//   - If two different keys have one name, neither is used from then on: a mark takes their place.
//   - A key is kept until the later of the two times.
//   - A private half replaces its public half.
//   - The generation is the higher of the two.
//
// Keys that have expired stay until [Set.Prune]. Sets of different domains, and sets with foreign
// keys, cannot be united. If o contains nothing new, the result is s itself.
func (s *Set) Union(o *Set) (*Set, error) {
	switch {
	case s == nil:
		return o, nil
	case o == nil || o == s:
		return s, nil
	case s.domain != o.domain:
		return nil, fmt.Errorf("%w: %s, not %s", ErrDomain, o.domain, s.domain)
	case s.epoch > o.epoch:
		return s, nil
	case s.epoch < o.epoch:
		return o, nil
	}
	entries := make(map[string]entry, len(s.keys)+len(s.revoked)+1)
	for _, set := range []*Set{s, o} {
		for kid, e := range set.entries() {
			if e.key != nil && e.key.foreign {
				return nil, errors.New("keyring: sets with foreign keys cannot be united: those keys have no times")
			}
			entries[kid] = entries[kid].join(e)
		}
	}
	var keys []*Key
	revoked, ambiguous := map[string]Revocation{}, map[string]time.Time{}
	for kid, e := range entries {
		switch e.kind {
		case present:
			keys = append(keys, e.key)
		case ambiguousMark:
			ambiguous[kid] = e.ends()
		case revokedMark:
			revoked[kid] = Revocation{e.at, e.reason, e.ends()}
		}
	}
	u, err := newSet(head{s.domain, s.epoch, max(s.generation, o.generation)}, keys, revoked, ambiguous)
	if err == nil && u.same(s) && u.generation == s.generation {
		return s, nil
	}
	return u, err
}

// entry is what a set contains under one kid. Its kinds are ordered: the join of two entries has
// the higher kind.
type entry struct {
	kind   int
	key    *Key
	until  time.Time // the latest end of any key with that kid
	always bool      // there is no end
	at     time.Time // of the revocation
	reason string
}

const (
	unknown = iota
	present
	ambiguousMark
	revokedMark
)

func (s *Set) entries() map[string]entry {
	out := make(map[string]entry, len(s.keys)+len(s.revoked)+len(s.ambiguous))
	for _, k := range s.keys {
		out[k.kid] = entry{kind: present, key: k, until: k.ends()}
	}
	for kid, until := range s.ambiguous {
		out[kid] = entry{kind: ambiguousMark, until: until, always: until.IsZero()}
	}
	for kid, r := range s.revoked {
		out[kid] = entry{kind: revokedMark, until: r.Until, always: r.Until.IsZero(), at: r.At, reason: r.Reason}
	}
	return out
}

func (e entry) ends() time.Time {
	if e.always {
		return time.Time{}
	}
	return e.until
}

func (e entry) join(o entry) entry {
	switch {
	case e.kind == unknown:
		return o
	case o.kind == unknown:
		return e
	}
	r := e
	if o.kind > e.kind {
		r = o
	}
	if o.until.After(e.until) {
		r.until = o.until
	} else {
		r.until = e.until
	}
	r.always = e.always || o.always
	switch {
	case e.kind == revokedMark && o.kind == revokedMark:
		if o.at.Before(e.at) || o.at.Equal(e.at) && o.reason < e.reason {
			r.at, r.reason = o.at, o.reason
		}
	case e.kind == present && o.kind == present:
		if !e.key.equal(o.key) {
			return entry{kind: ambiguousMark, until: r.until}
		}
		if !e.key.CanIssue() && o.key.CanIssue() {
			r.key = o.key
		}
		r.key = r.key.kept(e.key.keep).kept(o.key.keep)
	}
	return r
}

// equal reports whether two keys are the same, with or without the private half.
func (k *Key) equal(o *Key) bool {
	return k == o || k.protection == o.protection && k.times == o.times && k.foreign == o.foreign &&
		bytes.Equal(k.material(), o.material()) && bytes.Equal(k.pub, o.pub)
}

// same reports whether two sets have the same content, ignoring their generations.
func (s *Set) same(o *Set) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.domain == o.domain && s.epoch == o.epoch &&
		slices.EqualFunc(s.keys, o.keys, func(a, b *Key) bool {
			return a.kid == b.kid && a.equal(b) && a.keep.Equal(b.keep) && a.CanIssue() == b.CanIssue()
		}) &&
		maps.EqualFunc(s.revoked, o.revoked, func(a, b Revocation) bool {
			return a.At.Equal(b.At) && a.Reason == b.Reason && a.Until.Equal(b.Until)
		}) &&
		maps.EqualFunc(s.ambiguous, o.ambiguous, time.Time.Equal)
}

// adopt returns the set with the Key values of old wherever they are the same keys, so that their
// derived keys are not derived again.
func (s *Set) adopt(old *Set) *Set {
	if old == nil {
		return s
	}
	c := *s
	c.keys = slices.Clone(s.keys)
	c.byID = make(map[string]*Key, len(s.keys))
	for i, k := range c.keys {
		if o := old.byID[k.kid]; o != nil && o.equal(k) && o.CanIssue() == k.CanIssue() {
			c.keys[i] = o
			if !o.keep.Equal(k.keep) {
				again := *o
				again.keep = k.keep
				c.keys[i] = &again
			}
		}
		c.byID[k.kid] = c.keys[i]
	}
	return &c
}
