package waybill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// scope is the state of a hop: the waybill as it was received, the current waybill, and the state
// of the response. It is also the context that contains this state, which saves an allocation and a
// look-up.
type scope struct {
	context.Context

	auth  *Authority
	came  *arrival // what the hop received; nil if Start, Detach or Reissue made the scope
	base  *Waybill // the waybill that the hop received, or nil
	visit *visit   // of a client's request at an edge; else nil
	err   error    // why base is nil

	cur   atomic.Pointer[Waybill] // the current waybill, or nil
	fresh atomic.Pointer[Waybill] // after Reissue: cur with a new life, for calls; else nil
	over  atomic.Bool             // the hop has ended

	mu      sync.Mutex // serialises writers
	heads   []*Waybill // see heads.go
	begun   bool       // a carrier has begun the hop, and will end it
	phase   phase
	emitted emission // the last token that was sent back
	lost    []error
	missed  int       // changes that came too late
	renewed time.Time // when Reissue was called last; zero: never
}

// newReceived opens the token of an arrival in a new scope. Scope and arrival share one allocation.
func newReceived(ctx context.Context, a *Authority, came arrival) *scope {
	r := &struct {
		scope scope
		came  arrival
	}{came: came}
	r.scope.Context, r.scope.auth, r.scope.came = ctx, a, &r.came
	r.scope.open()
	return &r.scope
}

// is reports whether the scope is the outcome of this very arrival. Equal bytes are not enough,
// because other requests may inherit the context.
func (s *scope) is(came *arrival) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds(came)
}

// begin reports whether the scope is the outcome of this arrival (see is). If so, it begins the
// hop; first is false if an outer layer has begun it.
func (s *scope) begin(came *arrival) (same, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(came) {
		return false, false
	}
	first = !s.begun
	s.begun = true
	if s.came.source == nil {
		s.came.source = came.source
	}
	return true, first
}

// holds does the work of the method is. The caller holds mu. Two arrivals with a source match if
// the sources and the bytes are the same. Without a source they match if the bytes are the same and
// no carrier has begun the hop. An arrival without values also matches if its source is the one
// that Stripped recorded.
func (s *scope) holds(came *arrival) bool {
	has := s.came
	if has == nil || s.phase == committed || !has.at.IsZero() {
		return false
	}
	if came.values == 0 && came.identity() != 0 && came.identity() == identity(has.stripped) {
		return true
	}
	if has.raw != came.raw || has.values != came.values || came.values > 1 {
		return false
	}
	if has.source == nil {
		return !s.begun
	}
	return came.identity() == has.identity()
}

// owned reports whether a carrier has begun the hop of the scope.
func (s *scope) owned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// underWay returns the arrival of the scope's hop if a carrier has begun that hop and has not ended
// it, and nil otherwise. A scope made by Reissue or Detach belongs to the hop of its context.
func (s *scope) underWay() *arrival {
	if s.came == nil {
		if outer := scopeOf(s.Context); outer != nil {
			return outer.underWay()
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun || s.phase == committed {
		return nil
	}
	return s.came
}

// String describes the scope in a printed context, in the style of the standard library.
func (s *scope) String() string {
	parent := fmt.Sprintf("%T", s.Context)
	if p, ok := s.Context.(fmt.Stringer); ok {
		parent = p.String()
	}
	return fmt.Sprintf("%s.Waybill(%v)", parent, s.cur.Load())
}

// Format prints what [scope.String] returns, for every verb.
func (s *scope) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// emission is a waybill that was sent back, and the hop's result at that time.
type emission struct {
	of     *Waybill
	result Result
}

type phase uint8

const (
	live      phase = iota
	late            // the response headers have been sent, and there is no trailer
	committed       // the response has been sent, or the hop was discarded
)

type scopeKey struct{}

// Value returns the scope itself for its own key.
func (s *scope) Value(key any) any {
	if key == (scopeKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	if s == nil || s.auth == nil {
		return nil
	}
	return s
}

func newLocal(ctx context.Context, a *Authority, w *Waybill) *scope {
	s := &scope{Context: ctx, auth: a}
	s.cur.Store(w)
	return s
}

// FromContext returns the current waybill in ctx, or the reason why there is none: [ErrNoWaybill],
// or what was wrong with the token in the request. After the request of ctx has ended, the reason is
// [ErrCommitted]; [Detach] keeps the waybill for background work.
func FromContext(ctx context.Context) (*Waybill, error) {
	s := scopeOf(ctx)
	if s == nil {
		return nil, ErrNoWaybill
	}
	if s.over.Load() {
		outlived()
		return nil, ErrCommitted
	}
	if w := s.fresh.Load(); w != nil {
		return w, nil
	}
	if w := s.cur.Load(); w != nil {
		return w, nil
	}
	return nil, s.err
}

// set makes w the current waybill. The caller holds mu.
func (s *scope) set(w *Waybill) {
	s.heads = nil
	s.cur.Store(w)
	if s.renewed.IsZero() || w == nil {
		return
	}
	next, err := s.renewal(w, s.renewed)
	if err != nil {
		next = nil // calls send cur, or fail because it has expired
	}
	s.fresh.Store(next)
}

// end ends the hop: its context shows no waybill from now on. The caller holds mu.
func (s *scope) end() {
	s.phase = committed
	s.over.Store(true)
}

// Without returns ctx without its waybill. Use it for work that is not part of the journey, and for
// subscriptions made in the context of a request.
func Without(ctx context.Context) context.Context {
	if scopeOf(ctx) == nil {
		return ctx
	}
	return &scope{Context: ctx}
}

// Update changes claims, all or none. The changed waybill is sent with calls made afterwards, and
// goes back to the caller with the response.
//
// All errors occur here, not when the token is sent. The errors are [ErrNoWaybill] and the other
// reasons why there is no waybill, [ErrUndeclared], [ErrFixed], [ErrClaimType], [ErrTooLarge],
// [ErrNoKey], [ErrReadOnly], [ErrTooLate] after the response headers were sent, and [ErrCommitted]
// after the response was. The cryptography runs later, once, and only if the result is used.
func Update(ctx context.Context, changes ...Change) error {
	s := scopeOf(ctx)
	if s == nil {
		return ErrNoWaybill
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.cur.Load()
	switch {
	case s.phase == committed:
		outlived()
		return ErrCommitted
	case from == nil:
		return s.err
	}
	if err := s.change(); err != nil {
		return err
	}
	var e edits
	if err := e.apply(s.auth, from, changes); err != nil {
		return err
	}
	return s.amend(from, e)
}

// change returns why the handler can make no more changes, and counts the attempt. The caller holds
// mu.
func (s *scope) change() error {
	err := s.closed()
	if err == ErrTooLate {
		s.missed++
	}
	return err
}

// closed returns the error for a late change, or nil while changes are allowed. The caller holds
// mu.
func (s *scope) closed() error {
	if s.visit != nil && s.phase == live && s.visit.late() {
		return ErrTooLate
	}
	switch s.phase {
	case late:
		return ErrTooLate
	case committed:
		return ErrCommitted
	}
	return nil
}

// amend makes the next version, unless the edits change nothing. The caller holds mu.
func (s *scope) amend(from *Waybill, e edits) error {
	next, err := s.version(from, e, time.Time{})
	if err != nil || next == nil {
		return err
	}
	if err := s.visit.fits(next); err != nil {
		return err
	}
	s.set(next)
	return nil
}

// version returns from with the edits applied, or nil if they change nothing and renew is zero.
func (s *scope) version(from *Waybill, e edits, renew time.Time) (*Waybill, error) {
	if renew.IsZero() && !e.change(from) {
		return nil, nil
	}
	bas := ""
	if s.base != nil && s.visit == nil {
		bas = s.base.base()
	}
	payload, exp := e.amend(from, bas, renew, s.auth.life, s.visit != nil)
	reserve := 0
	if bas == "" {
		reserve = basRoom
	}
	return s.auth.protect(from.Protection(), payload, exp, reserve)
}

// renewal returns w with a new life, for calls: it names no base, because it does not go back.
func (s *scope) renewal(w *Waybill, now time.Time) (*Waybill, error) {
	payload, exp := edits(nil).amend(w, "", now, s.auth.life, s.visit != nil)
	return s.auth.protect(w.Protection(), payload, exp, basRoom)
}

func (s *scope) start(changes []Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur.Load() != nil && s.visit == nil {
		return ErrStarted
	}
	if err := s.change(); err != nil {
		return err
	}
	if s.visit != nil {
		return s.visit.start(s, changes)
	}
	w, err := s.auth.Issue(changes...)
	if err != nil {
		return err
	}
	s.set(w)
	return nil
}

// Detach returns a context for work that outlives the request. It has the current waybill, but no
// deadline and no cancellation. Changes made there are sent with calls, and never go back. Call it
// before the request ends: afterwards its context has no waybill.
func Detach(ctx context.Context) context.Context {
	detached := context.WithoutCancel(ctx)
	s := scopeOf(ctx)
	if s == nil {
		return detached
	}
	w, err := FromContext(ctx)
	d := newLocal(detached, s.auth, w)
	d.err = err
	return d
}

// Reissue gives the waybill in ctx a new life from now, within the absolute end of its journey, and
// returns ctx. Calls made afterwards send the renewed token. A handler needs it if its waybill expires
// before its last call: the handler of a durable message, whose waybill was judged at the time the
// message was stored, or the handler of a long stream. It may be called again.
//
// Changes still go back to the caller, in a token with the life that the hop received. If the journey
// has ended, the error is [ErrExpired].
func Reissue(ctx context.Context) (context.Context, error) {
	w, err := FromContext(ctx)
	if err != nil {
		return ctx, err
	}
	s := scopeOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.auth.now()
	if !now.Before(w.Ends()) {
		return ctx, ErrExpired
	}
	next, err := s.renewal(s.cur.Load(), now)
	if err != nil {
		return ctx, err
	}
	s.renewed = now
	s.fresh.Store(next)
	return ctx, nil
}

// maxLost is how many errors a scope remembers. A long job may collect many.
const maxLost = 32

// lose remembers why a returned token was rejected. The caller holds mu.
func (s *scope) lose(err error) {
	if len(s.lost) < maxLost {
		s.lost = append(s.lost, err)
	}
}

// Lost reports why returned tokens were rejected in this hop, joined into one error (at most 32
// reasons), or nil. A rejected token never changes the result of its call.
func Lost(ctx context.Context) error {
	s := scopeOf(ctx)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.lost...)
}
