package waybill

import (
	"fmt"
	"strconv"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
)

// edit is the new value of one application claim; nil removes it.
type edit struct {
	name string
	raw  []byte
}

// edits is a list of edits, at most one for each name.
type edits []edit

func (e edits) find(name string) (edit, bool) {
	for _, x := range e {
		if x.name == name {
			return x, true
		}
	}
	return edit{}, false
}

func (e *edits) set(name string, raw []byte) {
	for i, x := range *e {
		if x.name == name {
			(*e)[i].raw = raw
			return
		}
	}
	*e = append(*e, edit{name, raw})
}

// setTime sets a NumericDate.
func (e *edits) setTime(name string, t time.Time) {
	e.set(name, strconv.AppendInt(nil, t.Unix(), 10))
}

// rewrite returns the payload of from with the edits applied, registered claims included, and without the
// claims that concern a single token. All other claims stay byte for byte.
func (e edits) rewrite(from *Waybill) []byte {
	var p jose.Builder
	p.Grow(len(from.body().claims.Payload()) + e.size() + 40)
	from.body().claims.All(func(name, value []byte) bool {
		if ofOneToken(name) {
			return true
		}
		if x, ok := e.find(string(name)); !ok {
			p.Raw(string(name), value)
		} else if x.raw != nil {
			p.Raw(x.name, x.raw)
		}
		return true
	})
	for _, x := range e {
		if x.raw != nil && from.raw(x.name) == nil {
			p.Raw(x.name, x.raw)
		}
	}
	return p.Payload()
}

// change reports whether the edits change any claim of from.
func (e edits) change(from *Waybill) bool {
	for _, x := range e {
		if !same(from.raw(x.name), x.raw) {
			return true
		}
	}
	return false
}

func (e edits) size() int {
	n := 0
	for _, x := range e {
		n += len(x.name) + len(x.raw) + 4
	}
	return n
}

// apply turns changes into edits of from, which is nil for a new journey.
func (e *edits) apply(a *Authority, from *Waybill, changes []Change) error {
	for _, c := range changes {
		def := a.declared[c.name]
		if def == nil {
			return fmt.Errorf("%w: %q", ErrUndeclared, c.name)
		}
		if def.fixed && from != nil {
			return fmt.Errorf("%w: %q", ErrFixed, c.name)
		}
		old := from.raw(c.name)
		if x, ok := e.find(c.name); ok {
			old = x.raw
		}
		raw, err := c.apply(old)
		if err != nil {
			return fmt.Errorf("waybill: claim %q: %w", c.name, err)
		}
		e.set(c.name, raw)
	}
	return nil
}

// appendNew appends the values of a waybill that has no claims yet.
func (e edits) appendNew(p *jose.Builder) {
	for _, x := range e {
		if x.raw != nil {
			p.Raw(x.name, x.raw)
		}
	}
}

// amend returns the payload of from with the edits applied and a new "bas"; all other claims stay
// byte for byte, except for the history that edges write if lean is set. If now is not zero, it also renews the token's
// times.
func (e edits) amend(
	from *Waybill, bas string, now time.Time, life time.Duration, lean bool,
) (payload []byte, exp time.Time) {
	var p jose.Builder
	p.Grow(len(from.body().claims.Payload()) + e.size() + 40)
	exp = from.Expires()
	iat := from.body().claims.Iat
	if !now.IsZero() {
		iat = now.Unix()
		exp = now.Add(life)
		if exp.After(from.Ends()) {
			exp = from.Ends()
		}
	}
	from.body().claims.All(func(name, value []byte) bool {
		switch string(name) {
		case jose.Bas:
		case jose.Iat:
			p.Seconds(jose.Iat, iat)
		case jose.Exp:
			p.Seconds(jose.Exp, exp.Unix())
			if bas != "" {
				p.Plain(jose.Bas, bas)
			}
		case jose.Rev, jose.Has, jose.Was, jose.Upd:
			if x, ok := e.find(string(name)); !lean && (!ok || x.raw != nil) {
				p.Raw(string(name), value)
			}
		default:
			if x, ok := e.find(string(name)); !ok {
				p.Raw(string(name), value)
			} else if x.raw != nil {
				p.Raw(x.name, x.raw)
			}
		}
		return true
	})
	for _, x := range e {
		if x.raw != nil && from.raw(x.name) == nil {
			p.Raw(x.name, x.raw)
		}
	}
	return p.Payload(), exp
}
