package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ParseForeign reads a JWK Set of other software as the ring of a domain. It accepts the kids as
// they are, and ignores times: the keys issue at once and do not expire. The first key that can
// issue is the active key.
//
// A usable entry has a kid of 1 to 64 characters of A-Z a-z 0-9 _ -, and the alg HS256, EdDSA or
// Ed25519. The alg may be missing if kty is OKP and crv is Ed25519, because that is the only choice
// then. ParseForeign skips every other entry, as RFC 7517, section 5, requires: keys of other kinds
// or for other uses, entries with a kid that no token can have, and all entries that share a kid.
// Keys of sealed tokens cannot be foreign. [Set.Skipped] says which entries were skipped and why. A
// set without any usable key is an error.
func ParseForeign(domain string, data []byte) (*Set, error) {
	var f struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := parseFile(data, &f, false); err != nil {
		return nil, err
	}
	if len(f.Keys) == 0 {
		return nil, errNoKeys
	}
	var skipped []error
	skip := func(i int, err error) { skipped = append(skipped, fmt.Errorf("key %d: %w", i, err)) }
	type usable struct {
		key *Key
		at  int
	}
	var found []usable
	sharing := map[string]int{}
	for i, raw := range f.Keys {
		k, err := foreignKey(raw)
		if err != nil {
			skip(i, err)
			continue
		}
		sharing[k.kid]++
		found = append(found, usable{k, i})
	}
	var keys []*Key
	for _, u := range found {
		if sharing[u.key.kid] > 1 {
			skip(u.at, fmt.Errorf("two keys have the kid %q", u.key.kid))
			continue
		}
		keys = append(keys, u.key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("keyring: the JWK Set has no usable key: %w", first(skipped))
	}
	s, err := newSet(head{domain: domain, generation: 1}, keys, nil, nil)
	if err != nil {
		return nil, err
	}
	s.skipped = skipped
	return s, nil
}

func foreignKey(raw json.RawMessage) (*Key, error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, errors.New("a member has the wrong type")
	}
	if j.Alg == "Ed25519" || j.Alg == "" && j.Kty == "OKP" && j.Crv == "Ed25519" {
		j.Alg = Public.alg()
	}
	if j.Alg != Signed.alg() && j.Alg != Public.alg() {
		return nil, fmt.Errorf("alg %.64q: the alg of a foreign key must be HS256, EdDSA or Ed25519", j.Alg)
	}
	k := &Key{foreign: true}
	if err := k.read(j); err != nil {
		return nil, err
	}
	return k, nil
}

// Skipped returns why entries of a foreign JWK Set cannot be used and are not in the set, one error
// per entry. For a ring of this package it returns nil.
func (s *Set) Skipped() []error {
	if s == nil {
		return nil
	}
	return slices.Clone(s.skipped)
}

// first joins the first errors of a list that can be long.
func first(errs []error) error {
	const most = 8
	if n := len(errs) - most; n > 0 {
		errs = append(slices.Clone(errs[:most]), fmt.Errorf("and %d more", n))
	}
	return errors.Join(errs...)
}
