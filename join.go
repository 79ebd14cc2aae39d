package waybill

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// ErrDisagree is returned by [Authority.Join] with [RefuseDisagreement].
var ErrDisagree = errors.New("waybill: parents disagree on claims that have no merge rule")

// Disagreement says what [Authority.Join] does with claims that its parents disagree on and that
// have no merge rule.
type Disagreement uint8

// The choices for [Authority.Join]. There is no default.
const (
	RefuseDisagreement Disagreement = iota + 1 // return ErrDisagree with the names of the claims
	DropDisagreement                           // drop these claims
)

// Join begins one journey in ctx that continues several, for a handler that does one thing for a
// batch of messages. The parents are the contexts of the messages. Each must have a waybill of this
// Authority.
//
// A claim with the same value in all parents is kept. Other values are merged by the claim's rule,
// with an absent base. A claim that has no rule, is [Claim.Fixed], or is not declared here is
// handled as on says. The claims "iss" and "sub" have no rule.
//
// The waybill gets a new "sid", with the earliest begin of its parents, unless all parents have the
// same one, and a new life from now, within the earliest absolute end; no [Reissue] is needed. Changes do not go back
// to the parents. On an error the context has no waybill. The errors are [ErrDisagree],
// [ErrExpired] if one of the journeys has ended, [ErrProtection] if the protections differ,
// [ErrTooLarge], [ErrMerge], and the reason why a parent has no waybill.
func (a *Authority) Join(ctx context.Context, on Disagreement, parents ...context.Context) (context.Context, error) {
	ctx = Without(ctx)
	if on != RefuseDisagreement && on != DropDisagreement {
		return ctx, fmt.Errorf("waybill: Join: unknown Disagreement %d: use RefuseDisagreement or DropDisagreement", on)
	}
	j, err := a.join(parents)
	if err != nil {
		return ctx, err
	}
	if len(j.disagreed) > 0 && on == RefuseDisagreement {
		return ctx, fmt.Errorf("%w: %q", ErrDisagree, j.disagreed)
	}
	now := a.now()
	if !now.Before(j.first.Ends()) {
		return ctx, fmt.Errorf("%w: one of the journeys to join has ended", ErrExpired)
	}
	s := newLocal(ctx, a, nil)
	w, err := s.version(j.first, j.edits, now)
	if err != nil {
		return ctx, err
	}
	s.cur.Store(w)
	return s, nil
}

// joined is the join of several waybills, as edits of the waybill whose journey ends first.
type joined struct {
	auth    *Authority
	parents []*Waybill
	first   *Waybill

	edits     edits
	disagreed []string
}

func (a *Authority) join(parents []context.Context) (*joined, error) {
	if len(parents) == 0 {
		return nil, errors.New("waybill: Join needs a parent")
	}
	j := &joined{auth: a}
	for i, ctx := range parents {
		if err := j.add(ctx); err != nil {
			return nil, fmt.Errorf("waybill: parent %d: %w", i, err)
		}
	}
	return j, j.claims()
}

func (j *joined) add(ctx context.Context) error {
	w, err := FromContext(ctx)
	switch {
	case err != nil:
		return err
	case scopeOf(ctx).auth != j.auth:
		return ErrForeignDomain
	case j.first == nil:
		j.first = w
	case w.Protection() != j.first.Protection():
		return fmt.Errorf("%w: it differs from the parents before", ErrProtection)
	case w.Ends().Before(j.first.Ends()):
		j.first = w
	}
	j.parents = append(j.parents, w)
	return nil
}

// claims joins all claims of all parents.
func (j *joined) claims() error {
	var done []string
	var err error
	for _, w := range j.parents {
		w.body().claims.All(func(name, _ []byte) bool {
			if slices.Contains(done, string(name)) {
				return true
			}
			done = append(done, string(name))
			err = j.claim(string(name))
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *joined) claim(name string) error {
	shared := j.shared(name)
	switch name {
	case jose.Aud, jose.Iat, jose.Exp, jose.End, jose.Bas: // copied from j.first, or renewed
		return nil
	case jose.Sid:
		if !shared {
			j.edits.set(name, j.newID())
		}
		return nil
	case jose.Nbf, "jti", // these describe a single token
		jose.Rev, jose.Has, jose.Was, jose.Upd, jose.Sup: // and these its client's set
		j.edits.set(name, nil)
		return nil
	}
	if shared {
		return nil
	}
	def := j.auth.declared[name]
	if def == nil || def.fixed || def.merge == nil {
		j.edits.set(name, nil)
		j.disagreed = append(j.disagreed, name)
		return nil
	}
	value, err := j.fold(name, def.merged)
	j.edits.set(name, value)
	return err
}

// shared reports whether all parents have the same value.
func (j *joined) shared(name string) bool {
	value := j.first.raw(name)
	return !slices.ContainsFunc(j.parents, func(w *Waybill) bool { return !same(w.raw(name), value) })
}

// fold joins the values of the parents that have the claim.
func (j *joined) fold(name string, rule mergeFunc) (value []byte, err error) {
	for _, w := range j.parents {
		next := w.raw(name)
		switch {
		case next == nil || same(value, next):
		case value == nil:
			value = next
		default:
			if value, err = rule(nil, value, next); err != nil {
				return nil, fmt.Errorf("%w: %q: %w", ErrMerge, name, err)
			}
		}
	}
	return value, nil
}

// newID returns the raw "sid" of the joined journey, which begins with the earliest of its parents: so
// its end, the earliest of theirs, is within the maximum.
func (j *joined) newID() []byte {
	began := j.first.Began()
	for _, w := range j.parents {
		if w.Began().Before(began) {
			began = w.Began()
		}
	}
	return []byte(`"` + newSID(began) + `"`)
}
