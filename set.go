package waybill

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/waybill-go/waybill/internal/jose"
)

// A client may hold several tokens of its journey, because several of its requests changed the journey at
// the same time. An edge merges them. docs/token.md specifies the merge, under "Sets".

// ofOneToken reports whether a claim describes how one token was made.
func ofOneToken(name []byte) bool {
	switch string(name) {
	case jose.Bas, jose.Rev, jose.Has, jose.Was, jose.Upd:
		return true
	}
	return false
}

// recentRevs is the number of last changes whose claims a token lists in "upd".
const recentRevs = 32

// written is one entry of "upd": the change that wrote a claim last.
type written struct {
	name string
	rev  int64
}

// set is the merge of a client's tokens.
type set struct {
	auth  *Authority
	main  *Waybill
	edits edits
	upd   []written
	rev   int64
	lost  []error // the claims that were not merged
}

// mergeSet merges the tokens of one journey, in the order of [held.compare]. The first token is main: its
// request started from every change that the other requests started from. Each other token adds the changes
// of its request. If the changes are far larger than a token, mergeSet stops: the time for each step grows
// with their size.
func (a *Authority) mergeSet(tokens []held) (*set, error) {
	s := &set{auth: a, main: tokens[0].wb}
	s.rev = s.main.body().claims.Rev
	s.upd = writtenBy(s.main)
	for _, h := range tokens[1:] {
		if h.wb.stepped() {
			s.add(h.wb)
			if s.edits.size() > farTooLarge*a.acceptLimit {
				return nil, fmt.Errorf("%w: the client's requests have changed too much at the same time", ErrTooLarge)
			}
		}
	}
	return s, nil
}

// farTooLarge is how many times as large as a token the merged changes may be. Further changes can make them
// smaller again, but hardly by so much.
const farTooLarge = 4

// newest returns the tokens that no other one includes, in the order of their merge.
func newest(tokens []held) []held {
	if len(tokens) == 1 {
		return tokens
	}
	slices.SortFunc(tokens, held.compare)
	included := map[string]struct{}{}
	for _, h := range tokens {
		for name := range h.wb.includes() {
			if string(name) != h.name {
				included[string(name)] = struct{}{}
			}
		}
	}
	var left []held
	for _, h := range tokens {
		if _, ok := included[h.name]; !ok {
			left = append(left, h)
		}
	}
	if left == nil { // names that collide: only a client can make such tokens, and only its own
		return tokens
	}
	return left
}

// writtenBy returns the entries of a waybill's "upd".
func writtenBy(w *Waybill) []written {
	var out []written
	if upd := w.raw(jose.Upd); upd != nil {
		jose.Members(upd, func(name, value []byte) bool {
			rev, _ := strconv.ParseInt(string(value), 10, 64) // ParseClaims has checked it
			out = append(out, written{string(name), rev})
			return true
		})
	}
	return out
}

// add merges the change that the request of w made.
func (s *set) add(w *Waybill) {
	own := w.body().claims.Rev
	for _, entry := range writtenBy(w) {
		if entry.rev == own && !slices.Contains(reserved, entry.name) {
			s.write(entry, w.raw(entry.name))
		}
	}
	if was := w.raw(jose.Was); was != nil {
		jose.Members(was, func(name, value []byte) bool {
			if !slices.Contains(reserved, string(name)) {
				s.claim(string(name), element(value), w.raw(string(name)))
			}
			return true
		})
	}
	s.rev++
}

// element returns the value in an array of at most one, or nil.
func element(array []byte) []byte {
	if len(array) == len("[]") {
		return nil
	}
	return array[1 : len(array)-1]
}

// value returns the claim as merged so far.
func (s *set) value(name string) []byte {
	if x, ok := s.edits.find(name); ok {
		return x.raw
	}
	return s.main.raw(name)
}

// write merges a claim without a rule: the later change wins. Of two changes that started from the same
// tokens the greater value wins, at every edge.
func (s *set) write(entry written, theirs []byte) {
	i := slices.IndexFunc(s.upd, func(w written) bool { return w.name == entry.name })
	if i < 0 {
		s.upd = append(s.upd, written{name: entry.name})
		i = len(s.upd) - 1
	}
	last := &s.upd[i]
	if entry.rev > last.rev || entry.rev == last.rev && greater(theirs, s.value(entry.name)) {
		s.edits.set(entry.name, theirs)
		last.rev = entry.rev
	}
}

// greater reports whether raw value a is greater than b. An absent claim is the least value.
func greater(a, b []byte) bool { return a != nil && (b == nil || bytes.Compare(a, b) > 0) }

// claim merges a claim with a rule. The base is its value before the token's own change.
func (s *set) claim(name string, base, theirs []byte) {
	def := s.auth.declared[name]
	mine := s.value(name)
	switch {
	case same(base, theirs) || same(mine, theirs):
	case def != nil && theirs != nil && def.check(theirs) != nil:
		s.lost = append(s.lost, fmt.Errorf("%w: %q", ErrClaimType, name))
	case same(base, mine):
		s.edits.set(name, theirs)
	default:
		value, err := def.combine(base, mine, theirs)
		if err != nil {
			s.lost = append(s.lost, fmt.Errorf("%w: %q: %w", ErrMerge, name, err))
			return
		}
		s.edits.set(name, value)
	}
}

// combine returns the value of a claim that both sides changed, to different values. Without a rule the
// greater value wins.
func (d *declaration) combine(base, mine, theirs []byte) ([]byte, error) {
	switch {
	case d == nil || d.merge == nil:
		if greater(mine, theirs) {
			return mine, nil
		}
		return theirs, nil
	case theirs == nil: // a set beats a concurrent delete
		return mine, nil
	case mine == nil:
		return theirs, nil
	}
	return d.merged(base, mine, theirs)
}
