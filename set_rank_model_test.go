package waybill_test

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill"
)

// rankModel is a client whose journeys are begun, ended and replaced while other requests are under
// way, and an oracle that knows which journey each token is of. The edge has to agree with the
// oracle at each request. In addition, four properties hold that do not depend on how the oracle
// chooses a journey:
//
//   - a client that got the answer of End sees nothing of the journey that it ended;
//   - a client that got the answer of Begin stays on the new journey, and sees nothing of the old one;
//   - no token contains claims that were set for two users;
//   - after three requests in a row, the client has a usable journey.
type rankModel struct {
	clock  *modelClock
	edges  []*modelEdge
	client *modelClient
	vacant vacantRule
	honest bool // nobody plants tokens
	lossy  bool // tokens are planted, or an edge accepts only few

	origins map[string]*rankOrigin // by token
	records []rankRecord           // by change number

	flight  []*rankRequest
	dead    modelSet // changes that no request may see that is sent from now on
	stays   string   // the "sid" on which the client stays, or ""
	skipped bool     // the schedule met a case that the rules leave open

	sent, merges int
	log          func(format string, args ...any)
}

// vacantRule is what the edge does for a client without a journey.
type vacantRule int

const (
	vacantStart vacantRule = iota // begins one, with claims
	vacantLazy                    // gives the request an empty one
	vacantLeave                   // does nothing
	vacantRules
)

// rankJourney is a journey as the oracle knows it.
type rankJourney struct {
	sid       string
	rank      int64
	user, sub string
	begun     int64
	foreign   bool // its protection is not accepted
}

// rankOrigin is what the oracle knows of one token.
type rankOrigin struct {
	rankJourney
	includes modelSet
	exp, end int64
	id       int
}

// correct accepts that an edge corrects the begin of a journey that a clock began which was ahead.
func (o *rankOrigin) correct(sid string, e *modelEdge) {
	if o.begun > e.auth.Now().Unix()+10 && randomOf(sid) == randomOf(o.sid) {
		o.sid = sid
		raw, _ := base64.RawURLEncoding.DecodeString(sid)
		o.begun = int64(binary.BigEndian.Uint32(raw))
	}
}

// without leaves out the changes that are not among the ids. A client that holds planted tokens can
// lose changes: its tokens are not all of one client, or come back after they were replaced. A
// token that is one too many takes along what only it included.
func (o *rankOrigin) without(ids []int) {
	var left modelSet
	for _, id := range ids {
		if o.includes.has(id) {
			left.add(id)
		}
	}
	o.includes = left
}

// randomOf returns the part of a "sid" that identifies the journey: all but its begin.
func randomOf(sid string) string { return sid[min(len(sid), 6):] }

func (o *rankOrigin) empty() bool { return o.includes == modelSet{} }

// rankRecord says for whom a change was made, and in which journey.
type rankRecord struct {
	user, sub, sid string
	by             *rankRequest
}

type rankOp int

const (
	rankRead rankOp = iota
	rankWrite
	rankEnd
	rankEndWrite // ends the journey and sets a claim in the empty one
	rankBegin
	rankBeginEnd
	rankEndBegin
	rankOps
)

func (o rankOp) String() string {
	return [...]string{"read", "write", "end", "end, write", "begin", "begin, end", "end, begin"}[o]
}

func (o rankOp) ends() bool   { return o == rankEnd || o == rankEndWrite || o == rankBeginEnd }
func (o rankOp) begins() bool { return o == rankBegin || o == rankEndBegin }

// rankRequest is a request under way.
type rankRequest struct {
	n       int
	op      rankOp
	user    string // who logs in, or for whom the edge begins a journey
	carried []modelCookie
	served  bool
	dead    modelSet // when it was sent
	stays   string
	at      time.Time // when the answer was written
	ended   string    // the sid that End ended, or ""
	answer  modelAnswer
	origin  *rankOrigin // of the answer's token
}

func (q *rankRequest) String() string { return fmt.Sprintf("%d (%v %s)", q.n, q.op, q.user) }

func (m *rankModel) trace(format string, args ...any) {
	if m.log != nil {
		m.log(format, args...)
	}
}

// clone returns a copy that goes on independently. Tokens and changes are shared; they are only
// added to.
func (m *rankModel) clone() *rankModel {
	c := *m
	client := *m.client
	client.held, client.expired = slices.Clone(client.held), slices.Clone(client.expired)
	c.client = &client
	c.flight = slices.Clone(m.flight)
	for i, q := range c.flight {
		copied := *q
		c.flight[i] = &copied
	}
	c.records = slices.Clip(m.records)
	c.origins = maps.Clone(m.origins)
	return &c
}

func (m *rankModel) describe(held []modelCookie) string {
	var parts []string
	for _, h := range held {
		if o := m.origins[h.token]; o != nil {
			parts = append(parts, fmt.Sprintf("#%d{%.8s rank %d %s%s%v}", o.id, o.sid, o.rank, o.user, o.sub, o.includes))
		} else {
			parts = append(parts, "rubbish")
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (m *rankModel) send(op rankOp, user string) *rankRequest {
	m.sent++
	q := &rankRequest{n: m.sent, op: op, user: user, carried: m.client.snapshot(), dead: m.dead, stays: m.stays}
	m.flight = append(m.flight, q)
	m.trace("%v: sent with %s", q, m.describe(q.carried))
	return q
}

// serve executes a request at an edge. Between its arrival and its answer the clock moves on by
// busy.
func (m *rankModel) serve(q *rankRequest, e *modelEdge, tokens []string, busy time.Duration) error {
	if len(tokens) > 1 {
		m.merges++
	}
	came := m.clock.now
	want, why := m.choose(tokens, e)
	if m.skipped {
		return nil
	}
	v := e.arrive(tokens)
	next := int64(0) // the n of a journey that takes the place of what came
	for _, token := range tokens {
		if o := m.origins[token]; o != nil {
			next = max(next, o.rank/3+1)
		}
	}
	m.trace("%v: arrives with %s", q, m.describe(q.carried))
	if want != nil {
		view := v.view()
		want.correct(view.text("sid"), e)
		if m.lossy {
			want.without(idsOf(view))
		}
	}
	if err := m.check(q, v, want, why); err != nil {
		return err
	}
	id := len(m.records)
	id, now, err := m.handle(q, v, want, next, id, e)
	if err != nil {
		return err
	}
	m.clock.step(busy)
	q.answer, q.at, q.served = v.answer(false), m.clock.now, true
	late := m.clock.now.Sub(came) > modelLife
	a := q.answer
	switch {
	case late && a.token != "":
		return errors.New("a token more than a life after the request")
	case late:
		return nil
	case a.token == "" && id >= 0:
		return errors.New("a change, and no token")
	case a.token == "" && !a.forget && len(slices.Compact(slices.Sorted(slices.Values(tokens)))) > 1:
		return errors.New("several tokens came, and nothing is answered")
	case a.token == "" && !a.forget && next > 0 && (q.op.ends() || q.op.begins()):
		return errors.New("a journey ended, and nothing is answered")
	case a.token == "" && next > 0 && want == nil && m.vacant == vacantLazy:
		return errors.New("a lazy edge leaves nothing in the place of a journey that is over")
	case a.token == "":
		m.trace("%v: answers %+v", q, a)
		return nil
	case now == nil:
		return errors.New("a token of no journey")
	}
	now.exp, now.end, now.id = a.view.number("exp"), a.view.number("end"), len(m.origins)
	if now.sid == "" {
		now.sid = a.view.text("sid")
	}
	if known := m.origins[a.token]; known != nil {
		now.id = known.id
		if known.rankJourney != now.rankJourney || known.includes != now.includes {
			return fmt.Errorf("one token, two origins: %+v and %+v", known, now)
		}
		now = known
	}
	m.origins[a.token], q.origin = now, now
	m.trace("%v: answers #%d{%.8s rank %d %s %v}", q, now.id, now.sid, now.rank, now.user, now.includes)
	return m.checkView(a.view, now)
}

// check compares what the request sees with the journey that the oracle chose, and with the
// properties.
func (m *rankModel) check(q *rankRequest, v *modelVisit, want *rankOrigin, why string) error {
	view, err := v.view(), v.hop.Err()
	if want == nil {
		if got := waybill.Reason(err); err == nil || why != "" && got != why {
			return fmt.Errorf("%v: got reason %q, want %q", q, got, why)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%v: no waybill: %w; want %+v", q, err, want)
	}
	if v.hop.Vacant() != want.empty() {
		return fmt.Errorf("%v: vacant is %v; want %+v", q, v.hop.Vacant(), want)
	}
	if err := m.checkView(view, want); err != nil {
		return fmt.Errorf("%v, with %s: %w", q, m.describe(q.carried), err)
	}
	for _, id := range idsOf(view) {
		if q.dead.has(id) {
			return fmt.Errorf("%v sees change %d of a journey that was over when it was sent", q, id)
		}
	}
	if q.stays != "" && randomOf(want.sid) != q.stays {
		return fmt.Errorf("%v is on journey %s, and the client logged in on %s", q, want.sid, q.stays)
	}
	return nil
}

// checkView compares a view with what the oracle expects, and checks that it is of one user.
func (m *rankModel) checkView(v modelView, want *rankOrigin) error {
	ids := idsOf(v)
	for _, id := range ids {
		r := m.records[id]
		if r.user != v.text("user") || r.sub != "" && r.sub != v.text("sub") {
			return fmt.Errorf("change %d of %q in a token of %q", id, r.user+r.sub, v.text("user")+v.text("sub"))
		}
	}
	switch {
	case !slices.Equal(ids, want.includes.list()):
		return fmt.Errorf("it includes %v, want %v of journey %+v", ids, want.includes.list(), want.rankJourney)
	case want.sid != "" && v.text("sid") != want.sid:
		return fmt.Errorf("sid is %s, want %s", v.text("sid"), want.sid)
	case v.number("sup") != want.rank:
		return fmt.Errorf("sup is %s, want %d", v["sup"], want.rank)
	case v.text("user") != want.user || v.text("sub") != want.sub:
		return fmt.Errorf("user is %s%s, want %s%s", v["user"], v["sub"], want.user, want.sub)
	}
	return nil
}

// idsOf returns the changes that a view includes: each adds its number to the set.
func idsOf(v modelView) []int { return v.ints("tags") }

// handle is the handler's work. It returns the number of the change, or -1, and the journey of the
// answer.
func (m *rankModel) handle(q *rankRequest, v *modelVisit, came *rankOrigin, next int64, id int, e *modelEdge) (int, *rankOrigin, error) {
	begun := e.auth.Now().Unix()
	now := came
	if came == nil || came.empty() {
		anew := &rankOrigin{rankJourney: rankJourney{rank: 3 * next, begun: begun}}
		if came != nil {
			copied := *came
			anew = &copied
		}
		switch m.vacant {
		case vacantStart:
			anew.user = q.user
			if err := v.start(append(m.user(q.user), addTag(id))...); err != nil {
				return -1, nil, err
			}
			m.record(q, id, anew, v)
			now = anew
		case vacantLazy:
			if err := v.hop.Provide(); err != nil {
				return -1, nil, err
			}
			now = anew
		}
	}
	replace := func(kind int64) *rankOrigin {
		return &rankOrigin{rankJourney: rankJourney{rank: 3*next + kind, begun: begun}}
	}
	write := func() error {
		if now == nil {
			return nil
		}
		copied := *now
		now = &copied
		if err := waybill.Update(v.ctx, addTag(id)); err != nil {
			return err
		}
		m.record(q, id, now, v)
		return nil
	}
	var err error
	if q.op.ends() && now != nil {
		q.ended = now.sid
	}
	for _, op := range map[rankOp][]rankOp{
		rankEndWrite: {rankEnd, rankWrite}, rankBeginEnd: {rankBegin, rankEnd}, rankEndBegin: {rankEnd, rankBegin},
		rankWrite: {rankWrite}, rankEnd: {rankEnd}, rankBegin: {rankBegin},
	}[q.op] {
		switch op {
		case rankWrite:
			err = write()
		case rankEnd:
			now, err = replace(2), waybill.End(v.ctx)
		case rankBegin:
			now = replace(1)
			now.user = q.user
			if err = waybill.Begin(v.ctx, append(m.user(q.user), addTag(id))...); err == nil {
				m.record(q, id, now, v)
			}
		}
		if err != nil {
			return -1, nil, fmt.Errorf("%v: %w", q, err)
		}
	}
	if len(m.records) == id || now == nil || !now.includes.has(id) {
		id = -1
	}
	return id, now, nil
}

func (m *rankModel) user(name string) []waybill.Change {
	if name == "" {
		return nil
	}
	return []waybill.Change{modelUser.To(name)}
}

func addTag(id int) waybill.Change {
	return modelTags.With(func(list []int) []int { return waybill.Union(nil, list, []int{id}) })
}

// record remembers that the request made change id in a journey.
func (m *rankModel) record(q *rankRequest, id int, in *rankOrigin, v *modelVisit) {
	in.includes.add(id)
	m.records = append(m.records[:id:id], rankRecord{in.user, in.sub, v.view().text("sid"), q})
}

// choose returns the journey of the client that brings these tokens: what their merge includes, or
// nil and the reason.
func (m *rankModel) choose(tokens []string, e *modelEdge) (*rankOrigin, string) {
	now := e.auth.Now().Unix()
	var all []*rankOrigin
	rubbish := false
	for _, token := range tokens {
		if o := m.origins[token]; o == nil {
			rubbish = true
		} else if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		if rubbish {
			return nil, ""
		}
		return nil, "absent"
	}
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b *rankOrigin) int { return cmp.Compare(b.rank, a.rank) })
	all = all[:min(len(all), e.tokens)]
	all = slices.DeleteFunc(all, func(o *rankOrigin) bool { return o.rank < all[0].rank })
	leader := slices.MaxFunc(all, func(a, b *rankOrigin) int {
		return cmp.Or(compareBool(!a.foreign, !b.foreign), compareBool(!a.empty(), !b.empty()), cmp.Compare(a.begun, b.begun), cmp.Compare(a.sid, b.sid),
			cmp.Compare(a.sub, b.sub), cmp.Compare(a.user, b.user))
	})
	var journey []*rankOrigin
	latest := int64(0)
	for _, o := range all {
		if m.sameJourney(o, leader) {
			journey = append(journey, o)
			latest = max(latest, o.exp)
		}
	}
	over := now - latest - int64(modelIdle/time.Second)
	if -60 < over && over < 60 {
		m.skipped = true // the leeway decides
	}
	merged := &rankOrigin{}
	for _, o := range journey {
		switch {
		case now > o.end-60 && now < o.end+60:
			m.skipped = true
			continue
		case now >= o.end || over > 0 || o.foreign:
			continue
		}
		if merged.sid == "" || o.begun < merged.begun || o.begun == merged.begun && o.sid < merged.sid {
			merged.sid, merged.begun = o.sid, o.begun
		}
		merged.rank, merged.user, merged.sub = o.rank, cmp.Or(merged.user, o.user), cmp.Or(merged.sub, o.sub)
		merged.includes.join(o.includes)
	}
	if merged.sid == "" {
		return nil, ""
	}
	return merged, ""
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// sameJourney reports whether two tokens of one rank are merged.
func (m *rankModel) sameJourney(a, b *rankOrigin) bool {
	if a.foreign != b.foreign {
		return false
	}
	if randomOf(a.sid) != randomOf(b.sid) {
		if apart := a.begun - b.begun; a.rank%3 == 1 || apart > 60 || apart < -60 {
			return false
		}
	}
	return a.empty() || b.empty() || a.user == b.user && (a.sub == b.sub || a.sub == "" || b.sub == "")
}

// deliver applies an answer to the client.
func (m *rankModel) deliver(q *rankRequest, half, lost bool) {
	m.flight = slices.DeleteFunc(m.flight, func(o *rankRequest) bool { return o == q })
	if lost || m.clock.now.Sub(q.at) > modelLife {
		m.trace("%v: the answer is lost", q)
		return
	}
	m.client.apply(q.carried, q.answer, half)
	m.trace("%v: answered (half %v), the client holds %s", q, half, m.describe(m.client.held))
	if q.answer.token == "" || !m.honest {
		return
	}
	if q.op.ends() || q.op.begins() {
		m.stays = ""
		// Nothing comes back of what was seen, or of what a request did that carried no more than
		// this one.
		for id, r := range m.records {
			earlier := r.by.n != q.n && m.carriedBy(r.by, q) && !r.by.op.ends() && (q.op.ends() || !r.by.op.begins())
			if earlier || q.op.ends() && q.ended != "" && randomOf(r.sid) == randomOf(q.ended) {
				m.dead.add(id)
			}
		}
	}
	if q.op.begins() && !slices.ContainsFunc(m.flight, func(o *rankRequest) bool { return o.op.ends() || o.op.begins() }) &&
		!half && m.alone(q) {
		m.stays = randomOf(q.answer.view.text("sid"))
	}
}

// alone reports whether all tokens that the client holds, other than the new one of q, are of a
// lower rank.
func (m *rankModel) alone(q *rankRequest) bool {
	for _, h := range m.client.held {
		if o := m.origins[h.token]; o != nil && o != q.origin && o.rank >= q.origin.rank {
			return false
		}
	}
	return true
}

// carriedBy reports whether all tokens that a carried were carried by q as well.
func (m *rankModel) carriedBy(a, q *rankRequest) bool {
	for _, h := range a.carried {
		if !slices.Contains(q.carried, h) {
			return false
		}
	}
	return true
}

// heal checks that three requests in a row leave the client with a usable journey.
func (m *rankModel) heal(e *modelEdge) error {
	for i := range 3 {
		q := m.send(rankRead, "")
		if err := m.serve(q, e, tokensOf(q.carried), 0); err != nil || m.skipped {
			return err
		}
		m.deliver(q, false, false)
		if n := len(m.client.held); n > 1 {
			return fmt.Errorf("the client holds %d tokens after request %d of 3", n, i+1)
		}
	}
	held := tokensOf(m.client.held)
	if len(held) == 0 && m.vacant != vacantStart {
		return nil
	}
	if v := e.arrive(held); v.hop.Err() != nil {
		return fmt.Errorf("after three requests: %w", v.hop.Err())
	}
	return nil
}
