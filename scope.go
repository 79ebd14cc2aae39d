package waybill

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// scope is a hop's state: the waybill as it was received, as it stands now, and what became of it. It is the context that
// it stands in, which saves an allocation and a look-up.
type scope struct {
	context.Context

	auth *Authority
	came *arrival // what the hop received; nil of a scope that Start, Detach or Reissue made
	base *Waybill // what that opened to, or nil
	err  error    // why base is nil

	begun atomic.Bool             // a transport answers for this hop
	cur   atomic.Pointer[Waybill] // as it stands now; nil if there is none

	mu      sync.Mutex // serialises writers
	phase   phase
	emitted emission // what was last sent back
	lost    []error
	missed  int // changes that came too late
}

// arrival is what a hop received. It is behind a pointer for the same reason as the body of a Waybill.
type arrival struct {
	raw    string // the first value
	values int
	at     time.Time // when a queue stored it; zero: it came now
	source any       // the carrier, if it can be told from others: a map or a pointer
}

// identity is what sources are told apart by; 0 for none. Whoever compares two of them holds both sources, so neither
// address has become another's.
func (a *arrival) identity() uintptr {
	if a.source == nil {
		return 0
	}
	return reflect.ValueOf(a.source).Pointer()
}

// received reports whether the scope is the outcome of what came, and not only of something like it: contexts are
// inherited, by other requests too.
func (s *scope) received(came arrival) bool {
	has := s.came
	if has == nil || has.raw != came.raw || has.values != came.values || came.values > 1 || !has.at.IsZero() || !came.at.IsZero() {
		return false
	}
	source := came.identity()
	if source != has.identity() || source == 0 && s.begun.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != committed
}

// newReceived makes the scope of a hop and its arrival in one allocation.
func newReceived(ctx context.Context, a *Authority, came arrival) *scope {
	r := &struct {
		scope scope
		came  arrival
	}{came: came}
	r.scope.Context, r.scope.auth, r.scope.came = ctx, a, &r.came
	return &r.scope
}

// String names the scope where a context is printed, as the contexts of the standard library name themselves.
func (s *scope) String() string {
	parent := fmt.Sprintf("%T", s.Context)
	if p, ok := s.Context.(fmt.Stringer); ok {
		parent = p.String()
	}
	return fmt.Sprintf("%s.Waybill(%v)", parent, s.cur.Load())
}

// Format prints what String returns, whatever the verb.
func (s *scope) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// emission is a version that was sent back, and whether the hop had failed then.
type emission struct {
	of     *Waybill
	failed bool
}

type phase uint8

const (
	open      phase = iota
	late            // the headers have left, and there is no trailer
	committed       // the response has left
)

type scopeKey struct{}

// Value makes the scope the context that holds it.
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

// FromContext returns the waybill as it stands in ctx, or the reason for which there is none: [ErrNoWaybill], or what was
// wrong with the token that came.
func FromContext(ctx context.Context) (*Waybill, error) {
	s := scopeOf(ctx)
	if s == nil {
		return nil, ErrNoWaybill
	}
	if w := s.cur.Load(); w != nil {
		return w, nil
	}
	return nil, s.err
}

// Without returns ctx without its waybill: for work on somebody else's behalf, and for the handlers of messages whose
// subscription was made in the context of a request.
func Without(ctx context.Context) context.Context {
	if scopeOf(ctx) == nil {
		return ctx
	}
	return &scope{Context: ctx}
}

// Update changes claims, all or none. The changed waybill travels on with the calls made after, and back to the caller
// with the response. Everything that can fail fails here: [ErrNoWaybill], [ErrUndeclared], [ErrFixed], [ErrClaimType],
// [ErrTooLarge], [ErrNoKey], [ErrReadOnly], [ErrTooLate] when the response headers have left, [ErrCommitted] when the
// response has. The cryptography runs later, once, if the result is used.
func Update(ctx context.Context, changes ...Change) error {
	s := scopeOf(ctx)
	if s == nil {
		return ErrNoWaybill
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.cur.Load()
	if from == nil {
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

// change tells why the handler can change nothing more, and remembers that it wanted to. The caller holds mu.
func (s *scope) change() error {
	err := s.closed()
	if err == ErrTooLate {
		s.missed++
	}
	return err
}

// closed tells why the scope takes no more changes. The caller holds mu.
func (s *scope) closed() error {
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
	if err == nil && next != nil {
		s.cur.Store(next)
	}
	return err
}

// version returns from with the edits in it, or nil if they change nothing and no renewal is asked for.
func (s *scope) version(from *Waybill, e edits, renew time.Time) (*Waybill, error) {
	if renew.IsZero() && !e.change(from) {
		return nil, nil
	}
	bas := ""
	if s.base != nil {
		bas = s.base.base()
	}
	payload, exp := e.amend(from, bas, renew, s.auth.life)
	return s.auth.protect(from.Protection(), payload, exp)
}

func (s *scope) start(changes []Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur.Load() != nil {
		return ErrStarted
	}
	if err := s.change(); err != nil {
		return err
	}
	w, err := s.auth.Issue(changes...)
	if err != nil {
		return err
	}
	s.cur.Store(w)
	return nil
}

// Detach returns a context for work that outlives the request: it has the waybill as it stands now, but no deadline, no
// cancellation and no way back. Changes there travel on, not back.
func Detach(ctx context.Context) context.Context {
	detached := context.WithoutCancel(ctx)
	s := scopeOf(ctx)
	if s == nil {
		return detached
	}
	d := newLocal(detached, s.auth, s.cur.Load())
	d.err = s.err
	return d
}

// Reissue returns a context whose waybill lives from now, within the absolute end of its journey. A handler of durable
// messages uses it before it calls on: its waybill was judged as of the time the message was stored, and may have
// expired since. [ErrExpired] tells that the journey has ended.
func Reissue(ctx context.Context) (context.Context, error) {
	w, err := FromContext(ctx)
	if err != nil {
		return ctx, err
	}
	auth := scopeOf(ctx).auth
	now := auth.now()
	if !now.Before(w.Ends()) {
		return ctx, ErrExpired
	}
	s := newLocal(ctx, auth, nil)
	next, err := s.version(w, nil, now)
	if err != nil {
		return ctx, err
	}
	s.cur.Store(next)
	return s, nil
}

// maxLost bounds what a scope remembers of refused updates: jobs may live long.
const maxLost = 32

// lose remembers a refused update. The caller holds mu.
func (s *scope) lose(err error) {
	if len(s.lost) < maxLost {
		s.lost = append(s.lost, err)
	}
}

// Lost returns what was refused of the updates that came back to this hop, joined, or nil: the first 32 reasons. The calls
// that they came with are not touched by it.
func Lost(ctx context.Context) error {
	s := scopeOf(ctx)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.lost...)
}
