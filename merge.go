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

// maxReturns bounds the tokens that come back with one answer, and those that a hop without a private key
// keeps for its caller.
const maxReturns = 4

// Merge merges the tokens that the call's answer returned into the scope that the call was made in. A
// call that [Failed] brings no changes of [Claim.OnSuccess] claims, and takes back those that an
// earlier token of the same call brought.
//
// An answer returns one token, or several in order, at most four, if it comes from a hop that cannot
// merge them itself. Pass all raw values. A token that was made neither from the one that this call
// sent, nor from an earlier one of the same call, or that is altered or too large, is rejected as a
// whole: the error says why, [Lost] reports it to the handler, and the call's own result is not
// affected. If several callees answer one message, merge each answer into its own copy of the Call.
//
// The merge is three-way, on application claims: a claim that one side changed gets that value, a
// claim that both changed follows its rule. A claim that cannot be merged, because its value does not
// have the declared type, its rule fails, or [OnlyClaims] does not name it, keeps its value here; the
// error names it. Tokens are judged at the time the call was sent.
func (c *Call) Merge(returned []string, r Result, opts ...MergeOption) (Outcome, error) {
	if len(returned) == 0 {
		return Unchanged, nil
	}
	a := answer{result: r}
	for _, o := range opts {
		o.apply(&a)
	}
	s := c.s
	if len(returned) > maxReturns {
		err := fmt.Errorf("%w: %d returned tokens, the limit is %d", ErrMalformed, len(returned), maxReturns)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lose(err)
		return Rejected, err
	}
	known, whole := c.known(returned)
	var outcome Outcome
	var errs []error
	for _, token := range returned {
		theirs, named, err := c.open(token, known)
		if err == nil {
			known = append(known, theirs)
		}
		s.mu.Lock()
		one := Rejected
		if err == nil {
			one, err = c.merge(theirs, named, whole, a)
		}
		if err != nil {
			s.lose(err)
			errs = append(errs, err)
		}
		s.mu.Unlock()
		outcome = together(outcome, one)
	}
	return outcome, errors.Join(errs...)
}

// together returns the outcome of several tokens: the one that says most about what was merged.
func together(a, b Outcome) Outcome {
	for _, o := range []Outcome{Conflict, Merged, Relayed, Unchanged} {
		if a == o || b == o {
			return o
		}
	}
	return Rejected
}

// known returns the tokens that a returned one can be made from. It reports whether this answer repeats
// the whole of what the call has brought, as a hop does that cannot merge it. A later answer that does
// not takes the place of the ones before.
func (c *Call) known(returned []string) (tokens []*Waybill, whole bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	tokens, whole = []*Waybill{c.sent}, true
	for _, b := range c.brought {
		tokens = append(tokens, b.wb)
		whole = whole && slices.Contains(returned, b.wb.Token())
	}
	return tokens, whole
}

// open verifies that a callee made the returned token from a known one, and returns both.
func (c *Call) open(returned string, known []*Waybill) (w, named *Waybill, err error) {
	w, err = c.s.auth.OpenAt(returned, c.at)
	switch {
	case errors.Is(err, ErrNoWaybill):
		return nil, nil, fmt.Errorf("%w: an empty returned token", ErrMalformed)
	case err != nil:
		return nil, nil, err
	case w.Protection() != c.sent.Protection():
		return nil, nil, fmt.Errorf("%w: the returned token has another one than the token sent", ErrProtection)
	}
	bas := w.text(jose.Bas)
	i := slices.IndexFunc(known, func(k *Waybill) bool { return bas == k.base() })
	if i < 0 {
		return nil, nil, ErrStale
	}
	named = known[i]
	for _, name := range reserved {
		// The aud is the domain, however it is spelled, and the bas is compared above.
		if name != jose.Aud && name != jose.Bas && !same(w.raw(name), c.sent.raw(name)) {
			return nil, nil, ErrRegistered
		}
	}
	return w, named, c.reservedPrefix(w)
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

// base returns the token that theirs is compared with: itself, if it was merged before; the previous
// token of the call, whose place it takes; or the token that it was made from.
func (c *Call) base(theirs, named *Waybill, whole bool) (base brought, replaces bool) {
	for _, b := range c.brought {
		if b.wb.Token() == theirs.Token() {
			return b, true
		}
	}
	if n := len(c.brought); n > 0 && !whole {
		return c.brought[n-1], true
	}
	for _, b := range c.brought {
		if b.wb == named {
			return b, false
		}
	}
	return brought{wb: c.sent}, false
}

// merge merges theirs into the scope. The caller holds the scope's lock.
func (c *Call) merge(theirs, named *Waybill, whole bool, a answer) (Outcome, error) {
	s := c.s
	if err := s.closed(); err != nil {
		return Rejected, err
	}
	cur := s.cur.Load()
	if s.visit != nil && cur.ID() != c.sent.ID() {
		return Rejected, errSuperseded // End or Begin has put another journey in its place
	}
	base, replaces := c.base(theirs, named, whole)
	m := merger{
		auth: s.auth, accept: a.accept, sent: c.sent, base: base, mine: cur,
		theirs: brought{theirs, a.result}, verbatim: true,
	}
	if err := m.run(); err != nil {
		return Rejected, err
	}
	outcome := Merged
	switch {
	case !m.edits.change(cur):
		outcome = Unchanged
	case m.verbatim && s.visit == nil && c.sent == s.base && named == s.base && cur == base.wb && len(s.heads) <= 1:
		// This hop only forwarded: the returned token was made from the one that the hop received.
		s.head(theirs, base.wb)
		outcome = Relayed
	case m.verbatim && s.auth.readOnly(cur) && s.names(named):
		// Without a key to merge with, the caller gets this token in addition.
		if !replaces {
			base.wb = nil
		}
		if err := s.head(theirs, base.wb); err != nil {
			return Rejected, err
		}
		outcome = Relayed
	default:
		if err := s.amend(cur, m.edits); err != nil {
			return Rejected, err
		}
	}
	c.keep(m.theirs, replaces)
	if m.conflict && outcome != Relayed {
		outcome = Conflict
	}
	return outcome, errors.Join(m.dropped...)
}

// keep remembers a token of the call.
func (c *Call) keep(b brought, replaces bool) {
	if n := len(c.brought); replaces && n > 0 {
		for i := range c.brought {
			if c.brought[i].wb.Token() == b.wb.Token() {
				c.brought[i] = b
				return
			}
		}
		c.brought[n-1] = b
		return
	}
	c.brought = append(c.brought[:len(c.brought):len(c.brought)], b)
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
	}
	merged, err := def.combine(base, mine, theirs)
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
