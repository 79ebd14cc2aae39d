package waybill

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
)

// Client contains the tokens that a client sent to an edge, and the limits for their use.
type Client struct {
	Tokens []string // every token that the client sent, in the order of arrival
	Source any      // identifies the request, as in [Authority.Receive]

	// Idle is how long after its expiry a journey can be resumed.
	Idle time.Duration

	// MaxTokens and MaxBytes bound the number and the total length of the tokens that are used. If there are
	// more, the edge prefers tokens of a greater rank, then later tokens, and forgets the rest. Zero means no
	// bound.
	MaxTokens, MaxBytes int
}

// visit is the state of a client's request at an edge. A scope refers to it by pointer, because package fmt
// prints the unexported fields of a struct without calling their methods.
type visit struct {
	auth *Authority
	at   time.Time // when the request came
	idle time.Duration

	came      []held  // the tokens that came: the genuine ones, the newest first, and the others
	forgotten []error // why tokens that came are not used, at most maxForgotten
	lost      []error // changes that could not be merged
	away      bool    // the keys are not available: nothing is decided
	ahead     bool    // a token's "iat" is ahead of the clock
	next      int64   // the n of a journey that replaces the client's; 0 if no genuine token came

	previous *Ended // the journey that is over
	why      error

	base    *Waybill // what the request's changes are compared with; nil: an empty journey
	rev     int64    // of base
	upd     []written
	due     bool     // the client gets a token even if nothing changes
	instead bool     // the journey is a new one
	began   bool     // this request began the journey
	told    bool     // the client was told to forget
	kept    bool     // the tokens could not be merged: the client keeps all of them
	current *Waybill // what out was made from
	out     *Waybill // the token for the client
}

// ReceiveClient opens the tokens of a client's request to an edge, and begins its hop. It decides which
// journey the client is on, merges the tokens of this journey, and renews the result if that is due. A client
// may send any tokens. Tokens that cannot be used never cause a refusal; the answer makes the client forget
// them.
//
// The outcome is in the returned context and in [Hop.Err]. If the client has no journey, the edge begins one
// with [Authority.Start] or [Hop.Provide]. An error of class [Unavailable] means that the keys are not
// available: the edge must report this, and decide nothing.
//
// Only an edge calls ReceiveClient. Inside the trust domain, two tokens are [ErrAmbiguous].
func (a *Authority) ReceiveClient(ctx context.Context, c Client) (context.Context, Hop) {
	came := newArrival(c.Tokens, c.Source)
	if s := scopeOf(ctx); s != nil && s.auth == a && s.owned() {
		if same, first := s.begin(&came); same {
			return ctx, Hop{s: s, outermost: first}
		}
	}
	r := &struct {
		scope scope
		came  arrival
		visit visit
	}{came: came}
	s := &r.scope
	s.Context, s.auth, s.came, s.visit, s.begun = ctx, a, &r.came, &r.visit, true
	r.visit.auth, r.visit.at, r.visit.idle = a, a.now(), c.Idle
	s.base, s.err = r.visit.receive(c)
	s.cur.Store(s.base)
	for _, err := range r.visit.lost {
		s.lose(err)
	}
	return s, Hop{s: s, fresh: true, outermost: true}
}

// receive returns the client's waybill, or the reason why the client has no journey.
func (v *visit) receive(c Client) (*Waybill, error) {
	genuine, others, err := v.open(c)
	if err != nil {
		v.away = true
		return nil, err
	}
	if len(genuine)+len(others) > 1 {
		for i, h := range genuine {
			genuine[i] = h.named()
		}
		slices.SortFunc(genuine, held.compare)
	}
	v.came = genuine
	if len(others) > 0 {
		v.came = slices.Concat(genuine, others)
	}
	if len(genuine) == 0 {
		if len(others) == 0 {
			return nil, ErrNoWaybill
		}
		v.why = others[0].err
		return nil, v.why
	}
	journey := v.choose(v.bound(genuine, c))
	usable := v.usable(journey)
	if len(usable) == 0 {
		return nil, v.over(journey[0], cmp.Or(journey[0].err, ErrExpired))
	}
	return v.merge(newest(usable), len(v.came) > 1)
}

// over records that the journey of a genuine token is over, and why. Its replacement is sent to the client in
// any case.
func (v *visit) over(h held, why error) error {
	v.why, v.due = why, true
	if !h.wb.vacant() {
		v.previous = &Ended{h.wb, why}
	}
	return why
}

// names returns the names of the tokens that came, genuine tokens first.
func (v *visit) names() string {
	switch len(v.came) {
	case 0:
		return ""
	case 1:
		return v.came[0].named().name
	}
	names := make([]byte, 0, jose.NameLen*min(len(v.came), jose.MaxNames))
	for _, h := range v.came {
		if len(names) == cap(names) {
			break
		}
		names = append(names, h.named().name...)
	}
	return string(names)
}

// usable returns the tokens of the client's journey that still count, and drops the others. Idle time is
// judged for the journey as a whole: the token that expires last decides for all of them.
func (v *visit) usable(journey []held) []held {
	now := v.at.Unix()
	if len(journey) == 1 && journey[0].err == nil && now < journey[0].wb.body().claims.End {
		return journey
	}
	var latest int64
	for _, h := range journey {
		if h.err == nil || errors.Is(h.err, ErrExpired) {
			latest = max(latest, h.wb.body().claims.Exp)
		}
	}
	resumes := now < latest+int64((v.auth.leeway+v.idle)/time.Second)
	var usable []held
	for _, h := range journey {
		c := &h.wb.body().claims
		switch {
		case now >= c.End:
			v.drop(ErrExpired)
			continue
		case h.err == nil:
		case errors.Is(h.err, ErrExpired) && resumes:
		case errors.Is(h.err, ErrNotYetValid) && c.Iat > now && c.Nbf <= now:
			v.ahead = true
		default:
			v.drop(h.err)
			continue
		}
		usable = append(usable, h)
	}
	return usable
}

// maxForgotten bounds the reasons that are kept.
const maxForgotten = 1024

// drop records why a token is not used.
func (v *visit) drop(err error) {
	if len(v.forgotten) < maxForgotten {
		v.forgotten = append(v.forgotten, err)
	}
}

// merge returns the merge of the tokens. It is a new waybill with a new life, unless one token is all that
// the client holds and has enough life left.
func (v *visit) merge(tokens []held, several bool) (*Waybill, error) {
	main := tokens[0]
	if main.err == nil && !several && !v.renews(main.wb) {
		v.base, v.rev = main.wb, main.wb.body().claims.Rev
		return main.wb, nil
	}
	s, w, err := v.together(tokens)
	if len(tokens) > 1 && errors.Is(err, ErrTooLarge) {
		// Together the changes fit into no token. The client keeps the tokens whose
		// requests started from the most changes.
		fit := max(1, sort.Search(len(tokens), func(n int) bool {
			_, _, err := v.together(tokens[:n+1])
			return errors.Is(err, ErrTooLarge)
		}))
		for range tokens[fit:] {
			v.lost = append(v.lost, err)
			v.drop(err)
		}
		s, w, err = v.together(tokens[:fit])
	}
	switch {
	case err == nil:
		v.lost = append(v.lost, s.lost...)
		v.base, v.rev, v.upd, v.due = w, s.rev, s.upd, true
		return w, nil
	case main.err == nil:
		v.lost = append(v.lost, err)
		v.base, v.rev, v.kept = main.wb, main.wb.body().claims.Rev, true
		return main.wb, nil
	case ClassOf(err) == Unavailable:
		v.away = true
		return nil, err
	}
	return nil, v.over(main, err)
}

// together merges all of the tokens.
func (v *visit) together(tokens []held) (*set, *Waybill, error) {
	s, err := v.auth.mergeSet(tokens)
	if err != nil {
		return nil, nil, err
	}
	w, err := s.waybill(tokens, v.at)
	return s, w, err
}

// renews reports whether less than half of the waybill's life is left, and more is possible.
func (v *visit) renews(w *Waybill) bool {
	return w.Expires().Sub(v.at) < v.auth.life/2 && w.Expires().Before(w.Ends())
}

// waybill returns the merged waybill, with a new life. The tokens may be of several journeys that count as
// one: the oldest "sid" stays, and the earliest end.
func (s *set) waybill(tokens []held, now time.Time) (*Waybill, error) {
	first, ends, sub := s.main, s.main.Ends(), s.main.raw(jose.Sub)
	for _, h := range tokens[1:] {
		if older(h.wb, first) {
			first = h.wb
		}
		if h.wb.Ends().Before(ends) {
			ends = h.wb.Ends()
		}
		if sub == nil {
			sub = h.wb.raw(jose.Sub)
		}
	}
	exp := now.Add(s.auth.life)
	if exp.After(ends) {
		exp = ends
	}
	e := slices.Clone(s.edits)
	e.set(jose.Sid, first.raw(jose.Sid))
	if first.Began().After(now.Add(s.auth.leeway)) { // a clock that was ahead began the journey
		e.set(jose.Sid, []byte(`"`+rebegun(first.ID(), now)+`"`))
	}
	e.set(jose.Sub, sub)
	e.setTime(jose.Iat, now)
	e.setTime(jose.Exp, exp)
	e.setTime(jose.End, ends)
	return s.auth.protect(s.main.Protection(), e.rewrite(s.main), exp, basRoom)
}

// older reports whether the journey of w began before the other one.
func older(w, than *Waybill) bool {
	if d := w.body().claims.Began - than.body().claims.Began; d != 0 {
		return d < 0
	}
	return w.ID() < than.ID()
}
