package waybill

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// Outcome is what became of an update that came back.
type Outcome string

// The outcomes of [Call.Return].
const (
	Unchanged Outcome = "unchanged" // there was none, or it changed nothing
	Merged    Outcome = "merged"    // taken, and to be issued again if this hop answers somebody
	Relayed   Outcome = "relayed"   // taken, and passed on verbatim
	Conflict  Outcome = "conflict"  // taken but for claims that both sides changed and that nobody here has a rule for
	Refused   Outcome = "refused"   // not taken; the error says why
)

// ReturnOption tells [Call.Return] about the call.
type ReturnOption interface{ apply(*returned) }

type returned struct {
	failed bool
	accept []string // nil: all
}

type returnOption func(*returned)

func (o returnOption) apply(r *returned) { o(r) }

// Failed says that the call did not succeed: changes of OnSuccess claims are not taken, and those that an earlier update
// of the call brought are taken back.
func Failed() ReturnOption { return returnOption(func(r *returned) { r.failed = true }) }

// AcceptBack names the only claims whose changes are taken. It stops mistakes; it does not stop a compromised member of a
// symmetric ring, which can issue what it likes.
func AcceptBack(claims ...Declaration) ReturnOption {
	names := make([]string, 0, len(claims))
	for _, c := range claims {
		names = append(names, c.Name())
	}
	return returnOption(func(r *returned) { r.accept = names })
}

// Return merges the update that came back with the call's answer into the scope that the call was made in. An update
// of another token, an altered or an oversize one is refused whole: the error says why, [Lost] tells the handler, and the
// call's own result is not touched. A call may bring several updates; each counts against the one before. Where several
// callees answer one message, each answer is returned to a copy of the Call.
//
// The merge is three-way, on application claims: what one side changed is taken, what both changed follows the claim's
// rule. It is judged as of the moment the call was sent.
func (c *Call) Return(update string, opts ...ReturnOption) (Outcome, error) {
	if update == "" {
		return Unchanged, nil
	}
	var r returned
	for _, o := range opts {
		o.apply(&r)
	}
	s := c.s
	theirs, err := c.open(update)
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := Refused
	if err == nil {
		outcome, err = c.merge(theirs, r)
	}
	if err != nil {
		s.lose(err)
	}
	return outcome, err
}

// open verifies that update is what a callee made of the token that this call sent.
func (c *Call) open(update string) (*Waybill, error) {
	w, err := c.s.auth.OpenAt(update, c.at)
	if err != nil {
		return nil, err
	}
	if w.Protection() != c.sent.Protection() {
		return nil, fmt.Errorf("%w: the update's is not the token's", ErrProtection)
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
	return w, nil
}

// merge takes theirs into the scope. The caller holds the scope's lock.
func (c *Call) merge(theirs *Waybill, r returned) (Outcome, error) {
	s := c.s
	if err := s.closed(); err != nil {
		return Refused, err
	}
	cur := s.cur.Load()
	m := merger{
		auth: s.auth, accept: r.accept, sent: c.sent, base: c.last, mine: cur,
		theirs: brought{theirs, r.failed}, verbatim: true,
	}
	if err := m.run(); err != nil {
		return Refused, err
	}
	outcome := Merged
	switch {
	case !m.edits.change(cur):
		outcome = Unchanged
	case c.sent == s.base && cur == c.last.wb && m.verbatim:
		// This hop only forwarded: the update names the token that the hop received.
		s.cur.Store(theirs)
		outcome = Relayed
	case c.sent == s.base && m.verbatim && s.auth.readOnly(cur):
		// Without a key to merge with, the last writer wins.
		s.cur.Store(theirs)
		m.conflict = true
	default:
		if err := s.amend(cur, m.edits); err != nil {
			return Refused, err
		}
	}
	c.last = m.theirs
	if m.conflict {
		outcome = Conflict
	}
	if len(m.dropped) > 0 {
		return outcome, fmt.Errorf("%w: %q", ErrNotAccepted, m.dropped)
	}
	return outcome, nil
}

// readOnly reports whether this node cannot change w for want of a private key.
func (a *Authority) readOnly(w *Waybill) bool {
	return w.Protection() == Public && !holdsPrivate(a.ring.Set())
}

// brought is an update of a call, or what the call sent.
type brought struct {
	wb     *Waybill
	failed bool // the call had failed: of its OnSuccess claims, nothing counts
}

// merger is one three-way merge. A nil value is an absent claim.
type merger struct {
	auth         *Authority
	accept       []string // nil: all
	sent, mine   *Waybill
	base, theirs brought

	edits    edits
	verbatim bool // theirs stands as it is
	conflict bool
	dropped  []string
}

// run merges each claim that any of the three has. What only this side has did not change on the other.
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

// anyHas takes the name as bytes: most are only looked up, and making a string of one that is kept allocates.
func anyHas(ws []*Waybill, name []byte) bool {
	for _, w := range ws {
		if w.raw(string(name)) != nil {
			return true
		}
	}
	return false
}

// value is what a claim became by an update: of a call that failed, an OnSuccess claim is as it was sent.
func (m *merger) value(of brought, name string, def *declaration) []byte {
	if of.failed && def != nil && def.onSuccess {
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
		m.dropped = append(m.dropped, name)
		return nil
	case def != nil && def.fixed:
		return fmt.Errorf("%w: %q", ErrFixed, name)
	case same(base, mine):
		m.edits.set(name, theirs)
		return nil
	case same(mine, theirs), m.theirs.failed && def != nil && def.onSuccess:
		return nil // what changed here since is not the call's to take back
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
	merged, err := def.merge(base, mine, theirs)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrMerge, name, err)
	}
	m.edits.set(name, merged)
	return nil
}

// same compares two raw values, absence included.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// sameClaims reports whether two waybills agree in the application's claims.
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
