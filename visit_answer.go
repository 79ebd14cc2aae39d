package waybill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waybill-go/waybill/internal/jose"
)

// Limits of a token's history if the token would not fit otherwise.
const (
	fewNames = 16
	fewRevs  = 8
)

// answered returns the client's update: nil, one token, or an empty one, which makes the client forget the
// tokens that it sent. The caller holds mu.
func (s *scope) answered(r Result) []string {
	v := s.visit
	if v.away || s.phase != live {
		return nil
	}
	cur := s.cur.Load()
	now := emission{cur, r}
	if now == s.emitted && (cur != nil || v.told) {
		return nil
	}
	if cur != nil && r == Failed {
		cur = s.withoutOnSuccess(cur)
	}
	if cur == nil || !v.due && !v.changes(cur) {
		if len(v.came) == 0 || v.told || v.onlyGood() {
			return nil
		}
		v.told = true
		s.emitted = now
		return []string{""}
	}
	if v.late() {
		s.missed++
		return nil
	}
	out, err := v.answer(cur)
	if err != nil {
		s.lose(err)
		return nil
	}
	s.emitted = now
	v.current, v.out = cur, out
	return []string{out.Token()}
}

// onlyGood reports whether everything that came is in use. If a good token could not be merged with the
// others, it must not be forgotten together with them.
func (v *visit) onlyGood() bool { return v.kept || len(v.forgotten) == 0 && v.base != nil }

// late reports whether the request came so long ago that its answer must not bring a token. Meanwhile
// another journey may have taken this one's place and have ended, and no token may be left that shows it.
func (v *visit) late() bool { return v.auth.now().After(v.at.Add(v.auth.life)) }

// changes reports whether cur has other claims than the client's journey had.
func (v *visit) changes(cur *Waybill) bool { return cur != v.base && !sameClaims(cur, v.baseOr()) }

// baseOr returns the base, or a waybill without claims.
func (v *visit) baseOr() *Waybill {
	if v.base == nil {
		return new(Waybill)
	}
	return v.base
}

// answer returns the waybill for the client: cur, with the history that the client's next merge needs. If
// that does not fit, the history is cut.
func (v *visit) answer(cur *Waybill) (*Waybill, error) {
	if v.out != nil && v.current == cur {
		return v.out, nil
	}
	h := v.history(cur)
	for _, cut := range []func(){
		func() {},
		func() { h.has = h.has[:min(len(h.has), fewNames*jose.NameLen)] },
		func() { h.keep(fewRevs) },
	} {
		cut()
		w, err := v.issue(cur, h)
		if err == nil {
			return w, nil
		}
		if ClassOf(err) != TooLarge {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: the client's next merge needs more room; keep fewer or smaller claims", ErrTooLarge)
}

// fits returns an error if the client's token with the claims of w would be too large. It keeps the token for
// the answer.
func (v *visit) fits(w *Waybill) error {
	if v == nil {
		return nil
	}
	out, err := v.answer(w)
	if err == nil {
		v.current, v.out = w, out
	}
	return err
}

// history describes how a token was made.
type history struct {
	rev int64
	has string
	was *jose.Builder // nil: the request changed nothing, and began no journey
	upd []written
}

// history compares cur with the journey that the request started from.
func (v *visit) history(cur *Waybill) history {
	base := v.baseOr()
	h := history{rev: v.rev, has: v.names(), upd: slices.Clone(v.upd)}
	if v.upd == nil {
		h.upd = writtenBy(base)
	}
	if v.instead {
		h.was = new(jose.Builder)
	}
	if v.changes(cur) {
		h.rev++
		h.was = new(jose.Builder)
		changed := func(name, _ []byte) bool { h.change(v.auth, string(name), base, cur); return true }
		base.body().claims.All(changed)
		cur.body().claims.All(func(name, value []byte) bool {
			if base.raw(string(name)) == nil {
				changed(name, value)
			}
			return true
		})
	}
	h.keep(recentRevs)
	return h
}

// change records the change of one claim.
func (h *history) change(a *Authority, name string, base, cur *Waybill) {
	before := base.raw(name)
	if slices.Contains(reserved, name) || same(before, cur.raw(name)) {
		return
	}
	if def := a.declared[name]; def != nil && def.merge != nil {
		h.was.Raw(name, slices.Concat([]byte("["), before, []byte("]")))
		return
	}
	h.upd = slices.DeleteFunc(h.upd, func(w written) bool { return w.name == name })
	h.upd = append(h.upd, written{name, h.rev})
}

// keep removes the entries of all changes but the last revs.
func (h *history) keep(revs int64) {
	h.upd = slices.DeleteFunc(h.upd, func(w written) bool { return w.rev <= h.rev-revs })
}

// issue makes the client's token.
func (v *visit) issue(cur *Waybill, h history) (*Waybill, error) {
	var p jose.Builder
	p.Grow(len(cur.body().claims.Payload()) + len(h.has) + 48 + 32*len(h.upd))
	cur.body().claims.All(func(name, value []byte) bool {
		if !ofOneToken(name) {
			p.Raw(string(name), value)
		}
		return true
	})
	p.Number(jose.Rev, h.rev)
	reserve := basRoom
	if h.has != "" {
		p.Plain(jose.Has, h.has)
	} else {
		reserve += hasRoom
	}
	if h.was != nil {
		p.Raw(jose.Was, h.was.Payload())
	}
	if len(h.upd) > 0 {
		slices.SortFunc(h.upd, func(a, b written) int { return strings.Compare(a.name, b.name) })
		var upd jose.Builder
		for _, w := range h.upd {
			upd.Number(w.name, w.rev)
		}
		p.Raw(jose.Upd, upd.Payload())
	}
	return v.auth.protect(cur.Protection(), p.Payload(), cur.Expires(), reserve)
}

// hasRoom is the size of a "has" member with one name.
const hasRoom = len(`"has":"01234567",`)
