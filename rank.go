package waybill

import (
	"bytes"
	"errors"
	"strings"

	"github.com/waybill-go/waybill/internal/jose"
)

// The rank of a journey is 3 n + kind. A journey that replaces another one has a greater n, so that an answer
// to a slow request cannot bring the old journey back.
const (
	begunByStart int64 = iota // on a first visit, or in place of a journey that is over
	begunByBegin              // by Begin, at a login
	begunByEnd                // by End: an empty journey
	kinds
)

// togetherSeconds is how far apart the begins of two journeys may be that count as one, such as first visits
// in parallel.
const togetherSeconds = 60

// The reasons why a client's genuine token is not used.
var (
	errSuperseded   error = &refusal{"superseded", Unauthenticated, "another journey has replaced the token's journey"}
	errOtherJourney error = &refusal{"other_journey", Unauthenticated, "the client's token belongs to another journey"}
	errOverflow     error = &refusal{"overflow", Unauthenticated, "the client holds more tokens than an edge accepts"}
)

// rank returns the "sup".
func (w *Waybill) rank() int64 { return w.body().claims.Sup }

// vacant reports whether the waybill is of a journey in which nothing has happened yet.
func (w *Waybill) vacant() bool { return w.body().claims.Rev == 0 }

// choose returns the tokens of the one journey that the client is on. They have the greatest rank, and the
// others are dropped. A journey that was begun twice at the same time, by two parallel requests of a new
// client, is one journey, unless a login began it.
func (v *visit) choose(genuine []held) []held {
	var top int64
	for _, h := range genuine {
		top = max(top, h.wb.rank())
	}
	var leader *held
	for i := range genuine {
		h := &genuine[i]
		switch {
		case h.wb.rank() < top:
		case leader == nil || leader.unacceptable() && !h.unacceptable():
			leader = h
		case h.unacceptable() == leader.unacceptable() && v.auth.leads(h.wb, leader.wb):
			leader = h
		}
	}
	v.next = top/kinds + 1
	if len(genuine) == 1 {
		return genuine
	}
	var chosen []held
	for _, h := range genuine {
		switch {
		case h.wb.rank() < top:
			v.drop(errSuperseded)
		case v.auth.oneJourney(h.wb, leader.wb):
			chosen = append(chosen, h)
		case h.unacceptable():
			v.drop(h.err)
		default:
			v.drop(errOtherJourney)
		}
	}
	return chosen
}

// unacceptable reports whether the token could not be used at any time. Its rank counts, but a journey with
// other tokens is preferred.
func (h held) unacceptable() bool {
	return errors.Is(h.err, ErrProtection) || errors.Is(h.err, ErrLifetime)
}

// leads reports whether a client with tokens of both journeys stays on the journey of w. A journey with
// claims leads an empty one; otherwise the younger one leads.
func (a *Authority) leads(w, than *Waybill) bool {
	if w.vacant() != than.vacant() {
		return than.vacant()
	}
	if d := w.body().claims.Began - than.body().claims.Began; d != 0 {
		return d > 0
	}
	if d := strings.Compare(w.ID(), than.ID()); d != 0 {
		return d > 0
	}
	if w.Protection() != than.Protection() {
		return w.Protection() > than.Protection()
	}
	if d := bytes.Compare(w.raw(jose.Sub), than.raw(jose.Sub)); d != 0 {
		return d > 0
	}
	for _, name := range a.fixed {
		if d := bytes.Compare(w.raw(name), than.raw(name)); d != 0 {
			return d > 0
		}
	}
	return false
}

// oneJourney reports whether two waybills of the same rank are of one journey. An empty journey belongs to
// any that began at the same time.
func (a *Authority) oneJourney(w, leader *Waybill) bool {
	if w.Protection() != leader.Protection() {
		return false
	}
	if w.ID() != leader.ID() && !sameButBegun(w.ID(), leader.ID()) {
		apart := w.body().claims.Began - leader.body().claims.Began
		if w.rank()%kinds == begunByBegin || apart > togetherSeconds || apart < -togetherSeconds {
			return false
		}
	}
	if w.vacant() || leader.vacant() {
		return true
	}
	if mine, theirs := w.raw(jose.Sub), leader.raw(jose.Sub); mine != nil && theirs != nil && !same(mine, theirs) {
		return false
	}
	for _, name := range a.fixed {
		if !same(w.raw(name), leader.raw(name)) {
			return false
		}
	}
	return true
}
