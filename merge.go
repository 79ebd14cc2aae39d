package waybill

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// Outcome is what [Call.Merge] did with a returned token.
type Outcome string

// The outcomes of [Call.Merge].
const (
	Unchanged Outcome = "unchanged" // there was no token, or it changed nothing
	Merged    Outcome = "merged"    // accepted; this hop issues the result when it answers
	Relayed   Outcome = "relayed"   // accepted, and sent on unchanged
	Conflict  Outcome = "conflict"  // accepted, except for undeclared claims that both sides changed
	Rejected  Outcome = "rejected"  // not accepted; the error says why
)

// MergeOption configures [Call.Merge].
type MergeOption interface{ apply(*answer) }

// answer is the result of a call, and the claims that it may change.
type answer struct {
	result Result
	accept []string // nil: all
}

type mergeOption func(*answer)

func (o mergeOption) apply(a *answer) { o(a) }

// OnlyClaims accepts changes of these claims only. It stops mistakes. It does not stop a
// compromised member of a symmetric ring, which can issue any token.
func OnlyClaims(claims ...Declaration) MergeOption {
	names := make([]string, 0, len(claims))
	for _, c := range claims {
		names = append(names, c.Name())
	}
	return mergeOption(func(a *answer) { a.accept = names })
}

// Merge merges the token that the call's response returned into the context that the call was made
// in. A call that [Failed] does not change [Claim.OnSuccess] claims; changes of these claims by an
// earlier token of the same call are undone.
//
// A token that was not made from the one that this call sent, or that is altered or too large, is
// rejected as a whole: the error says why, [Lost] reports it to the handler, and the call's own
// result is not affected. A call may return several tokens; each is compared with the one before.
// If several callees respond to one message, merge each response with its own copy of the Call.
//
// The merge is three-way, on application claims: a claim that one side changed gets that value, and
// a claim that both sides changed follows its rule. The token is judged at the time the call was
// sent.
func (c *Call) Merge(returned string, r Result, opts ...MergeOption) (Outcome, error) {
	if returned == "" {
		return Unchanged, nil
	}
	a := answer{result: r}
	for _, o := range opts {
		o.apply(&a)
	}
	s := c.s
	theirs, err := c.open(returned)
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := Rejected
	if err == nil {
		outcome, err = c.merge(theirs, a)
	}
	if err != nil {
		s.lose(err)
	}
	return outcome, err
}

// open verifies that a callee made the returned token from the one that this call sent.
func (c *Call) open(returned string) (*Waybill, error) {
	w, err := c.s.auth.OpenAt(returned, c.at)
	if err != nil {
		return nil, err
	}
	if w.Protection() != c.sent.Protection() {
		return nil, fmt.Errorf("%w: the returned token has another one than the token sent", ErrProtection)
	}
	if w.text(jose.Bas) != c.sent.base() {
		return nil, ErrStale
	}
	for _, name := range reserved {
		// The aud is the domain, however it is spelled, and the bas is compared above.
		if name != jose.Aud && name != jose.Bas && !same(w.raw(name), c.sent.raw(name)) {
			return nil, ErrRegistered
		}
	}
	if err := c.reservedPrefix(w); err != nil {
		return nil, err
	}
	return w, nil
}

// reservedPrefix rejects a change of a claim whose name is reserved for this module.
func (c *Call) reservedPrefix(w *Waybill) (err error) {
	for _, side := range []*Waybill{w, c.sent} {
		side.body().claims.All(func(name, _ []byte) bool {
			if bytes.HasPrefix(name, []byte(reservedPrefix)) && !same(w.raw(string(name)), c.sent.raw(string(name))) {
				err = fmt.Errorf("%w: %q", ErrRegistered, name)
			}
			return err == nil
		})
	}
	return err
}

// merge merges theirs into the scope. The caller holds the scope's lock.
func (c *Call) merge(theirs *Waybill, a answer) (Outcome, error) {
	s := c.s
	if err := s.closed(); err != nil {
		return Rejected, err
	}
	cur := s.cur.Load()
	m := merger{
		auth: s.auth, accept: a.accept, sent: c.sent, base: c.last, mine: cur,
		theirs: brought{theirs, a.result}, verbatim: true,
	}
	if err := m.run(); err != nil {
		return Rejected, err
	}
	outcome := Merged
	switch {
	case !m.edits.change(cur):
		outcome = Unchanged
	case c.sent == s.base && cur == c.last.wb && m.verbatim:
		// This hop only forwarded: the returned token was made from the one that the hop received.
		s.set(theirs)
		outcome = Relayed
	case c.sent == s.base && m.verbatim && s.auth.readOnly(cur):
		// Without a key to merge with, the last writer wins.
		s.set(theirs)
		m.conflict = true
	default:
		if err := s.amend(cur, m.edits); err != nil {
			return Rejected, err
		}
	}
	c.last = m.theirs
	if m.conflict {
		outcome = Conflict
	}
	return outcome, errors.Join(m.dropped...)
}

// readOnly reports whether this node cannot change w because it has no private key.
func (a *Authority) readOnly(w *Waybill) bool {
	return w.Protection() == Public && !canIssue(a.ring.Set(), Public)
}

// brought is a token that a call returned, or the token that the call sent.
type brought struct {
	wb     *Waybill
	result Result // if Failed, changes of OnSuccess claims do not count
}

// merger is one three-way merge. A nil value is an absent claim.
type merger struct {
	auth         *Authority
	accept       []string // nil: all
	sent, mine   *Waybill
	base, theirs brought

	edits    edits
	verbatim bool // the result is theirs, unchanged
	conflict bool
	dropped  []error // the claims that were not merged
}

// run merges each claim of theirs, base and sent. The other side did not change a claim that only
// mine has.
func (m *merger) run() error {
	sides := []*Waybill{m.theirs.wb, m.base.wb, m.sent}
	var err error
	for i, side := range sides {
		side.body().claims.All(func(name, _ []byte) bool {
			if !slices.Contains(reserved, string(name)) && !anyHas(sides[:i], name) {
				err = m.claim(string(name))
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// anyHas reports whether any of the waybills has the claim. The name is bytes because a string
// would allocate.
func anyHas(ws []*Waybill, name []byte) bool {
	for _, w := range ws {
		if w.raw(string(name)) != nil {
			return true
		}
	}
	return false
}

// value returns the value of a claim in a token. If the call failed, an OnSuccess claim has the
// value that was sent.
func (m *merger) value(of brought, name string, def *declaration) []byte {
	if of.result == Failed && def != nil && def.onSuccess {
		return m.sent.raw(name)
	}
	return of.wb.raw(name)
}

// claim merges one claim that may have changed on the other side.
func (m *merger) claim(name string) error {
	def := m.auth.declared[name]
	base, mine, theirs := m.value(m.base, name, def), m.mine.raw(name), m.value(m.theirs, name, def)
	accepted := m.accept == nil || slices.Contains(m.accept, name)
	brings := m.theirs.wb.raw(name)
	m.verbatim = m.verbatim && same(brings, theirs) && (accepted || same(brings, m.sent.raw(name)))
	if same(base, theirs) {
		return nil
	}
	switch {
	case !accepted:
		m.drop(fmt.Errorf("%w: %q", ErrNotAccepted, name))
		return nil
	case def != nil && def.fixed:
		return fmt.Errorf("%w: %q", ErrFixed, name)
	case def != nil && theirs != nil && def.check(theirs) != nil:
		m.drop(fmt.Errorf("%w: %q", ErrClaimType, name))
		return nil
	case same(base, mine):
		m.edits.set(name, theirs)
		return nil
	case same(mine, theirs), m.theirs.result == Failed && def != nil && def.onSuccess:
		return nil // the call does not undo changes that this side made since
	case def == nil:
		m.conflict = true
		return nil
	case def.merge == nil:
		m.edits.set(name, theirs)
		return nil
	case theirs == nil:
		return nil // a set beats a concurrent delete
	case mine == nil:
		m.edits.set(name, theirs)
		return nil
	}
	merged, err := def.merged(base, mine, theirs)
	if err != nil {
		m.drop(fmt.Errorf("%w: %q: %w", ErrMerge, name, err))
		return nil
	}
	m.edits.set(name, merged)
	return nil
}

// drop leaves one claim as it is here.
func (m *merger) drop(why error) {
	m.verbatim = false
	m.dropped = append(m.dropped, why)
}

// merged is the claim's rule. A rule that panics costs its claim and not the process.
func (d *declaration) merged(base, mine, theirs []byte) (value []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the rule panicked: %v", v)
		}
	}()
	return d.merge(base, mine, theirs)
}

// same reports whether two raw values are equal; nil is an absent claim and equals only nil.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// sameClaims reports whether two waybills have the same application claims.
func sameClaims(a, b *Waybill) bool {
	covers := func(a, b *Waybill) bool {
		ok := true
		a.body().claims.All(func(name, value []byte) bool {
			ok = slices.Contains(reserved, string(name)) || same(value, b.raw(string(name)))
			return ok
		})
		return ok
	}
	return covers(a, b) && covers(b, a)
}
