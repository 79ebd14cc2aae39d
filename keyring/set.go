package keyring

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxKeys is the maximum number of keys of one protection in a set.
const MaxKeys = 64

// Set is an immutable collection of the keys of one trust domain. The zero Set and a nil Set have
// no domain and no keys, and no keys can be added to them.
type Set struct {
	head
	keys      []*Key // newest NotBefore first
	byID      map[string]*Key
	byHead    map[string]*Key // by the encoded header of the tokens that they sign
	revoked   map[string]Revocation
	ambiguous map[string]time.Time // names that two different keys have, and until when the mark stays
	skipped   []error              // of a foreign JWK Set; see Skipped
}

// head identifies a version of a set.
type head struct {
	domain     string
	epoch      uint64
	generation uint64
}

// Revocation is the mark that remains in a set when a key is revoked. It contains no key material.
type Revocation struct {
	At     time.Time
	Reason string
	Until  time.Time // when the key would have left the ring, and the mark may too; zero: the mark stays
}

// NewSet makes the first generation of a domain's keys. The domain is the "aud" of its tokens.
func NewSet(domain string, keys ...*Key) (*Set, error) {
	return newSet(head{domain: domain, generation: 1}, keys, nil, nil)
}

func newSet(h head, keys []*Key, revoked map[string]Revocation, ambiguous map[string]time.Time) (*Set, error) {
	if err := CheckDomain(h.domain); err != nil {
		return nil, err
	}
	s := &Set{
		head: h, revoked: revoked, ambiguous: ambiguous,
		byID: make(map[string]*Key, len(keys)), byHead: make(map[string]*Key, len(keys)),
	}
	count := map[Protection]int{}
	for _, k := range keys {
		if k == nil || k.codec == nil {
			return nil, errors.New("keyring: a key is nil or zero: make keys with Generate")
		}
		if s.byID[k.kid] != nil {
			return nil, fmt.Errorf("keyring: two keys have the kid %q", k.kid)
		}
		if _, ok := revoked[k.kid]; ok {
			return nil, fmt.Errorf("keyring: key %q is both present and revoked", k.kid)
		}
		if _, ok := ambiguous[k.kid]; ok {
			return nil, fmt.Errorf("keyring: key %q is both present and ambiguous", k.kid)
		}
		if count[k.protection]++; count[k.protection] > MaxKeys {
			return nil, fmt.Errorf("keyring: more than %d %s keys", MaxKeys, k.protection)
		}
		s.byID[k.kid] = k
		if head := k.codec.Head(); head != "" {
			s.byHead[head] = k
		}
		s.keys = append(s.keys, k)
	}
	slices.SortStableFunc(s.keys, func(a, b *Key) int {
		if a.foreign && b.foreign {
			return 0 // in the order of the file
		}
		return cmp.Or(b.times.NotBefore.Compare(a.times.NotBefore), cmp.Compare(a.kid, b.kid))
	})
	return s, nil
}

// CheckDomain returns an error unless the name of a trust domain is 1 to 128 characters of A-Z a-z
// 0-9 . _ : / -
func CheckDomain(domain string) error {
	ok := len(domain) > 0 && len(domain) <= 128
	for _, c := range []byte(domain) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '-' <= c && c <= ':' || c == '_')
	}
	if !ok {
		return fmt.Errorf("keyring: domain %.64q is not 1 to 128 characters of A-Z a-z 0-9 . _ : / -", domain)
	}
	return nil
}

// With returns the next generation of the set, with keys added.
func (s *Set) With(keys ...*Key) (*Set, error) {
	if s == nil {
		s = new(Set)
	}
	return newSet(s.next(), append(slices.Clone(s.keys), keys...), s.revoked, s.ambiguous)
}

// next is the head of the generation after s.
func (s *Set) next() head { return head{s.domain, s.epoch, s.generation + 1} }

// Domain returns the trust domain.
func (s *Set) Domain() string {
	if s == nil {
		return ""
	}
	return s.domain
}

// Generation returns the number of the set, which every change of a ring raises by one. A later
// epoch begins at 1 again: of two sets, the one with the later epoch is newer, and within an epoch
// the one with the higher generation.
func (s *Set) Generation() uint64 {
	if s == nil {
		return 0
	}
	return s.generation
}

// Epoch returns the epoch of the set. A set of a later epoch replaces every key of the earlier
// epochs: they are burnt.
func (s *Set) Epoch() uint64 {
	if s == nil {
		return 0
	}
	return s.epoch
}

// WithEpoch returns a copy of the set with another epoch.
func (s *Set) WithEpoch(epoch uint64) *Set {
	if s == nil {
		return nil
	}
	c := *s
	c.epoch = epoch
	return &c
}

// Keys returns the keys, in order of NotBefore, the latest first.
func (s *Set) Keys() []*Key {
	if s == nil {
		return nil
	}
	return slices.Clone(s.keys)
}

// Lookup returns the key with a kid, or nil. It never allocates.
func (s *Set) Lookup(kid []byte) *Key {
	if s == nil {
		return nil
	}
	return s.byID[string(kid)]
}

// LookupHead returns the key whose tokens have this encoded header, or nil. Keys of sealed tokens,
// and headers with another order of members, are found by [Set.Lookup] only.
func (s *Set) LookupHead(head string) *Key {
	if s == nil {
		return nil
	}
	return s.byHead[head]
}

// Revoked reports whether the key with this kid was revoked.
func (s *Set) Revoked(kid []byte) bool {
	if s == nil || len(s.revoked) == 0 {
		return false
	}
	_, ok := s.revoked[string(kid)]
	return ok
}

// Revocations returns the marks of the revoked keys, by kid.
func (s *Set) Revocations() map[string]Revocation {
	if s == nil {
		return nil
	}
	return maps.Clone(s.revoked)
}

// Active returns the key that issues, at now, a token that expires at until: the key with the
// latest NotBefore that has passed and that does not expire before the token. It returns nil if
// there is none.
func (s *Set) Active(protection Protection, now, until time.Time) *Key {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.protection == protection && k.issues(now, until) {
			return k
		}
	}
	return nil
}

// String returns the domain, the generation and the number of keys.
func (s *Set) String() string {
	return fmt.Sprintf("ring %s, generation %d, %d keys", s.Domain(), s.Generation(), len(s.Keys()))
}
