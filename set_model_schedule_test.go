package waybill_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// modelSchedule is one random schedule of a client's requests, and the oracle that knows which
// changes each token must include.
type modelSchedule struct {
	r      *rand.Rand
	clock  *modelClock
	edges  []*modelEdge
	client *modelClient
	lazy   bool
	calm   bool // no clock step may outlast a first visit
	most   int  // requests in flight at once

	changes  []modelChange
	included map[string]modelSet // by token
	expires  map[string]time.Time
	acked    modelSet
	flight   []*modelRequest
	stored   []*modelRequest // answers that a wrong client applies again

	stats modelStats
	log   func(format string, args ...any) // nil: the schedule is not traced
}

// modelStats counts what the schedules did.
type modelStats struct{ schedules, requests, merges, changes, most int }

func (s *modelStats) add(o modelStats) {
	s.schedules, s.requests, s.merges = s.schedules+o.schedules, s.requests+o.requests, s.merges+o.merges
	s.changes, s.most = s.changes+o.changes, max(s.most, o.most)
}

func (s modelStats) String() string {
	return fmt.Sprintf("%d schedules, %d requests, %d merges of up to %d tokens, %d changes",
		s.schedules, s.requests, s.merges, s.most, s.changes)
}

// modelRequest is a request under way.
type modelRequest struct {
	id      int
	carried []modelCookie
	sent    time.Time
	stage   int // 0: sent, 1: arrived, 2: handled, 3: answered

	visit    *modelVisit
	came     time.Time // by the clock of the model
	seen     modelSet
	first    bool
	failed   bool
	before   modelView
	change   *modelChange
	answered modelAnswer
	includes modelSet
}

func newModelSchedule(t testing.TB, ring *keyring.Ring, seed uint64, rule modelRule) *modelSchedule {
	r := rand.New(rand.NewPCG(seed, 2))
	s := &modelSchedule{
		r: r, clock: newModelClock(), client: &modelClient{cookies: r.IntN(2) == 0, rule: rule},
		lazy: r.IntN(2) == 0, most: 2 + r.IntN(6), calm: true,
		included: map[string]modelSet{}, expires: map[string]time.Time{},
	}
	if r.IntN(16) == 0 {
		s.most = 60
	}
	if rule == expireFirst {
		s.client.cookies = true
	}
	for range 2 {
		skew := time.Duration(r.IntN(5)) * time.Second
		s.edges = append(s.edges, newModelEdge(t, ring, s.clock, skew))
	}
	return s
}

// run runs the schedule and returns the first thing that is wrong.
func (s *modelSchedule) run() error {
	s.stats.schedules = 1
	left := 4 + s.r.IntN(20)
	if s.most > 20 {
		left = 80
	}
	for left > 0 || len(s.flight) > 0 {
		if len(s.changes) > modelChanges-2 {
			return errors.New("the schedule makes too many changes")
		}
		var err error
		switch n := s.r.IntN(20); {
		case n < 8 && left > 0 && len(s.flight) < s.most:
			left--
			s.send(s.client.snapshot())
		case n < 17:
			err = s.advance()
		case n == 17:
			s.client.finish(s.r)
		case left > 0:
			s.step()
		}
		if err != nil {
			return err
		}
	}
	for s.r.IntN(3) > 0 && len(s.client.expired) > 0 {
		s.client.finish(s.r)
	}
	return s.end()
}

func (s *modelSchedule) send(carried []modelCookie) *modelRequest {
	s.stats.requests++
	q := &modelRequest{id: s.stats.requests, carried: carried, sent: s.clock.now}
	s.flight = append(s.flight, q)
	s.trace("%d: sent with %s", q.id, s.names(carried))
	return q
}

func (s *modelSchedule) trace(format string, args ...any) {
	if s.log != nil {
		s.log(format, args...)
	}
}

// modelHeld describes tokens by the changes that they include.
type modelHeld struct {
	s    *modelSchedule
	held []modelCookie
}

func (s *modelSchedule) names(held []modelCookie) modelHeld { return modelHeld{s, held} }

func (h modelHeld) String() string {
	var b strings.Builder
	for _, c := range h.held {
		fmt.Fprintf(&b, "%s%v ", c.name[max(0, len(c.name)-4):], h.s.included[c.token].list())
	}
	return "[" + strings.TrimSpace(b.String()) + "]"
}

// advance moves one request on.
func (s *modelSchedule) advance() error {
	if len(s.flight) == 0 {
		return nil
	}
	q := s.flight[s.r.IntN(len(s.flight))]
	if q.stage == 3 {
		return s.deliver(q)
	}
	if err := s.serve(q, s.r.IntN(4) == 0); err != nil {
		return fmt.Errorf("request %d: %w", q.id, err)
	}
	if q.stage == 3 && s.repeatable(q) && s.r.IntN(16) == 0 { // executed twice; one answer is lost
		again := &modelRequest{id: q.id, carried: q.carried, sent: q.sent}
		if err := s.serve(again, false); err != nil {
			return fmt.Errorf("request %d, again: %w", q.id, err)
		}
		if s.r.IntN(2) == 0 {
			*q = *again
		}
	}
	return nil
}

// serve moves a request on at the server: by one stage, or to its answer.
func (s *modelSchedule) serve(q *modelRequest, one bool) error {
	for q.stage < 3 {
		var err error
		switch q.stage {
		case 0:
			err = s.arrive(q)
		case 1:
			err = s.handle(q)
		case 2:
			err = s.answer(q)
		}
		q.stage++
		if err != nil || one {
			return err
		}
	}
	return nil
}

func (s *modelSchedule) arrive(q *modelRequest) error {
	tokens := tokensOf(q.carried)
	s.r.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	q.visit, q.came = s.edges[s.r.IntN(len(s.edges))].arrive(tokens), s.clock.now
	q.first = len(tokens) == 0
	if len(tokens) > 1 {
		s.stats.merges++
		s.stats.most = max(s.stats.most, len(tokens))
	}
	for _, token := range tokens {
		q.seen.join(s.included[token])
	}
	if q.first {
		if err := q.visit.hop.Err(); !errors.Is(err, waybill.ErrNoWaybill) {
			return fmt.Errorf("a first visit: got error %v, want ErrNoWaybill", err)
		}
		return nil
	}
	if err := q.visit.hop.Err(); err != nil {
		return fmt.Errorf("it has no waybill: %w", err)
	}
	q.before = q.visit.view()
	if err := checkView(q.before, s.changes, q.seen); err != nil {
		return fmt.Errorf("arrived with %s: %w", s.names(q.carried), err)
	}
	return nil
}

func (s *modelSchedule) late(q *modelRequest) bool { return s.clock.now.Sub(q.came) > modelLife }

// handle is the handler's work.
func (s *modelSchedule) handle(q *modelRequest) error {
	if q.first && s.late(q) {
		return nil
	}
	if q.first && s.lazy {
		if err := q.visit.hop.Provide(); err != nil {
			return err
		}
		q.before = q.visit.view()
	}
	id := len(s.changes)
	ops, changes := drawOps(s.r, id, q.before)
	var err error
	switch {
	case q.first && !s.lazy:
		err = q.visit.start(changes...)
	case s.r.IntN(5) == 0: // a request that only reads
		s.trace("%d: reads", q.id)
		return nil
	default:
		q.failed = !q.first && s.r.IntN(10) == 0
		err = waybill.Update(q.visit.ctx, changes...)
	}
	if s.late(q) {
		if !errors.Is(err, waybill.ErrTooLate) {
			return fmt.Errorf("a change more than a life after the request: got error %v, want ErrTooLate", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if s.r.IntN(8) == 0 {
		op, change := drawOp(s.r, id, "theme", q.visit.view())
		switch err := q.visit.call(change); {
		case err == nil:
			ops = append(ops, op)
		case !errors.Is(err, waybill.ErrExpired):
			return err
		}
	}
	called := ops[len(ops)-1].claim == "theme"
	if !q.first && !called && s.r.IntN(12) == 0 { // the handler takes everything back
		for _, op := range ops {
			if err := waybill.Update(q.visit.ctx, restored(op.claim, q.before)); err != nil {
				return err
			}
		}
	}
	return s.record(q, id, ops)
}

// record remembers what the request changed, if anything.
func (s *modelSchedule) record(q *modelRequest, id int, ops []modelOp) error {
	after := q.visit.view()
	kept := ops[:0]
	for _, op := range ops {
		if !bytes.Equal(q.before[op.claim], after[op.claim]) && !(q.failed && op.claim == "paid") {
			kept = append(kept, op)
		}
	}
	slices.SortFunc(kept, func(a, b modelOp) int { return strings.Compare(a.claim, b.claim) })
	if len(kept) == 0 {
		s.trace("%d: changes nothing", q.id)
		return nil
	}
	q.change = &modelChange{id, q.seen, kept}
	s.changes = append(s.changes, *q.change)
	s.stats.changes++
	s.trace("%d: change %d: %+v", q.id, id, kept)
	return nil
}

// restored returns the change that gives a claim its value in v.
func restored(claim string, v modelView) waybill.Change {
	switch claim {
	case "high":
		return restore(modelHigh, int(v.number(claim)), v)
	case "count":
		return restore(modelCount, v.number(claim), v)
	case "tags":
		return restore(modelTags, v.ints(claim), v)
	case "cell":
		return restore(modelCell, v.text(claim), v)
	case "lang":
		return restore(modelLang, v.text(claim), v)
	}
	return restore(modelPaid, v.text(claim), v)
}

func restore[T any](c waybill.Claim[T], value T, v modelView) waybill.Change {
	if v[c.Name()] == nil {
		return c.Delete()
	}
	return c.To(value)
}

// answer ends the request at the server, and checks the token.
func (s *modelSchedule) answer(q *modelRequest) error {
	q.answered = q.visit.answer(q.failed)
	a := q.answered
	switch {
	case a.forget:
		return errors.New("the answer lets the client forget a good journey")
	case a.token == "" && s.late(q):
		return nil
	case a.token == "" && (q.change != nil || len(q.carried) > 1):
		return fmt.Errorf("no token, but the request changed %v and carried %d tokens", q.change, len(q.carried))
	case a.token == "":
		return nil
	case s.late(q):
		return errors.New("a token more than a life after the request")
	}
	q.includes = q.seen
	if q.change != nil {
		q.includes.add(q.change.id)
	}
	if known, ok := s.included[a.token]; ok && known != q.includes {
		return fmt.Errorf("one token includes %v and %v", known.list(), q.includes.list())
	}
	s.included[a.token] = q.includes
	s.expires[a.token] = time.Unix(a.view.number("exp"), 0)
	s.trace("%d: carried %s, answers %s, includes %v", q.id, s.names(q.carried), a.name, q.includes)
	if err := checkView(a.view, s.changes, q.includes); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if rev, want := a.view.number("rev"), len(q.includes.list()); rev != int64(want) {
		return fmt.Errorf("rev is %d, want %d: %v", rev, want, q.includes.list())
	}
	return nil
}

// deliver applies an answer to the client, or loses it.
func (s *modelSchedule) deliver(q *modelRequest) error {
	s.drop(q)
	lost := s.r.IntN(8) == 0
	if q.answered.token != "" && !s.expires[q.answered.token].Add(modelIdle).After(s.clock.now.Add(time.Minute)) {
		lost = true // nobody waits for an answer that long
	}
	if lost {
		s.trace("%d: the answer is lost", q.id)
		if s.repeatable(q) && s.r.IntN(2) == 0 {
			s.send(q.carried)
		}
		return nil
	}
	s.apply(q, s.client.cookies && s.r.IntN(4) == 0)
	if s.client.rule == appliedTwice {
		s.stored = append(s.stored, q)
		if s.r.IntN(3) == 0 {
			s.apply(s.stored[s.r.IntN(len(s.stored))], false)
		}
	}
	return nil
}

func (s *modelSchedule) apply(q *modelRequest, half bool) {
	s.client.apply(q.carried, q.answered, half)
	if q.answered.token != "" {
		s.acked.join(q.includes)
	}
	s.trace("%d: answered (half %v), the client holds %s", q.id, half, s.names(s.client.held))
}

func (s *modelSchedule) drop(q *modelRequest) {
	s.flight = slices.DeleteFunc(s.flight, func(o *modelRequest) bool { return o == q })
}

// repeatable reports whether the request may come again: its journey is not over.
func (s *modelSchedule) repeatable(q *modelRequest) bool {
	return (len(q.carried) > 0 || s.calm) && s.resumable(q.carried, s.clock.now)
}

// resumable reports whether an edge accepts the journey of these tokens at a time.
func (s *modelSchedule) resumable(held []modelCookie, at time.Time) bool {
	return len(held) == 0 || slices.ContainsFunc(held, func(h modelCookie) bool {
		return s.expires[h.token].Add(modelIdle).After(at.Add(time.Minute))
	})
}

// step moves the clock: a little, past half of the life, or past the life. First visits that are
// answered much later, and requests that come when their journey is over, are not part of this
// model.
func (s *modelSchedule) step() {
	d := time.Duration(s.r.IntN(3)) * time.Second
	switch s.r.IntN(8) {
	case 0:
		d = modelLife/2 + time.Duration(s.r.IntN(300))*time.Second
	case 1:
		d = modelLife + time.Duration(s.r.IntN(100))*time.Minute
	}
	to := s.clock.now.Add(d)
	begin := time.Unix(modelBegin, 0)
	if to.After(begin.Add(40*time.Second)) && len(s.client.held) == 0 || !s.resumable(s.client.held, to) ||
		to.After(begin.Add(modelJourney-time.Hour)) {
		return
	}
	if s.calm && to.After(begin.Add(40*time.Second)) {
		s.calm = false
		s.flight = slices.DeleteFunc(s.flight, func(q *modelRequest) bool { return len(q.carried) == 0 })
	}
	s.flight = slices.DeleteFunc(s.flight, func(q *modelRequest) bool { return q.stage == 0 && !s.resumable(q.carried, to) })
	s.clock.now = to
	s.trace("the clock moves on by %v", d)
}

// end checks that every change is there that the client got an answer for, the same at all
// replicas, and that one more request leaves the client with one token.
func (s *modelSchedule) end() error {
	held := s.client.snapshot()
	if len(held) == 0 {
		return nil
	}
	q := &modelRequest{carried: held}
	var last modelView
	for range 3 {
		q = &modelRequest{carried: held}
		if err := s.arrive(q); err != nil {
			return fmt.Errorf("the last request: %w", err)
		}
		if !q.seen.covers(s.acked) {
			return fmt.Errorf("changes %v are lost: the client holds %s", missing(s.acked, q.seen), s.names(held))
		}
		for name, value := range last {
			if name != "iat" && name != "exp" && name != "bas" && !bytes.Equal(value, q.before[name]) {
				return fmt.Errorf("one set has two values of %s: %s and %s", name, value, q.before[name])
			}
		}
		last = q.before
	}
	if err := s.answer(q); err != nil {
		return fmt.Errorf("the last request: %w", err)
	}
	s.client.apply(held, q.answered, false)
	s.client.expired = nil
	if len(s.client.held) != 1 {
		return fmt.Errorf("the client holds %s after a last request that carried %s", s.names(s.client.held), s.names(held))
	}
	q = &modelRequest{carried: s.client.snapshot()}
	if err := s.serve(q, true); err != nil {
		return fmt.Errorf("one more request: %w", err)
	}
	if a := q.visit.answer(false); a.token != "" || a.forget {
		return fmt.Errorf("an answer to a request that read one fresh token: %+v", a)
	}
	return nil
}

func missing(want, have modelSet) (ids []int) {
	for _, id := range want.list() {
		if !have.has(id) {
			ids = append(ids, id)
		}
	}
	return ids
}
