package waybill_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// TestRankModel runs random schedules of clients that log in and out while other requests are under
// way. See [rankModel] for the properties. A key that was revoked leaves the ring with its
// material, so that the rank of its tokens cannot be verified and does not count; the model has no
// such tokens among the genuine ones.
func TestRankModel(t *testing.T) {
	n := schedules() / 2
	if wrong := runRankModel(t, n); wrong > 0 {
		t.Errorf("%d of %d schedules fail", wrong, n)
	}
}

func runRankModel(t *testing.T, n int) (wrong int) {
	ring := modelRing(t)
	var shortest, total rankSchedule
	skipped, began := 0, time.Now()
	for i := range n {
		seed := *modelSeed + uint64(i)
		s, err := runRankSchedule(t, ring, seed, nil)
		total.model.sent, total.model.merges = total.model.sent+s.model.sent, total.model.merges+s.model.merges
		if s.model.skipped {
			skipped++
		}
		if err == nil {
			continue
		}
		wrong++
		if shortest.model.sent == 0 || s.model.sent < shortest.model.sent {
			shortest = *s
		}
		if *modelFirst {
			break
		}
	}
	t.Logf("%d schedules (%d of them left early), %d requests, %d merges in %v, from seed %d",
		n, skipped, total.model.sent, total.model.merges, time.Since(began).Round(time.Millisecond), *modelSeed)
	if wrong > 0 {
		_, err := runRankSchedule(t, ring, shortest.seed, t.Logf)
		t.Logf("seed %d, which has the fewest requests of the schedules that fail: %v", shortest.seed, err)
	}
	return wrong
}

// rankSchedule is one random schedule.
type rankSchedule struct {
	seed  uint64
	r     *rand.Rand
	model rankModel
	ring  *keyring.Ring
	users []string
	old   []modelCookie // what the client held some time ago
}

func runRankSchedule(t *testing.T, ring *keyring.Ring, seed uint64, log func(string, ...any)) (*rankSchedule, error) {
	cryptotest.SetGlobalRandom(t, seed)
	r := rand.New(rand.NewPCG(seed, 6))
	s := &rankSchedule{seed: seed, r: r, ring: ring, users: []string{"", "ada", "bob"}}
	s.model = rankModel{
		clock: newModelClock(), client: &modelClient{cookies: r.IntN(2) == 0}, vacant: vacantRule(r.IntN(int(vacantRules))),
		honest: r.IntN(3) > 0, origins: map[string]*rankOrigin{}, log: log,
	}
	s.model.lossy = !s.model.honest
	if r.IntN(2) == 0 {
		s.users = []string{""} // the edge begins anonymous journeys only
	}
	for range 2 {
		skew := time.Duration(r.IntN(5)) * time.Second
		if r.IntN(8) == 0 {
			skew = time.Duration(r.IntN(55)) * time.Second // the clock is wrong by more than the leeway
		}
		e := newModelEdge(t, ring, s.model.clock, skew)
		if r.IntN(8) == 0 {
			e.tokens, s.model.lossy = 2+r.IntN(3), true
		}
		s.model.edges = append(s.model.edges, e)
	}
	return s, s.run()
}

func (s *rankSchedule) run() error {
	m := &s.model
	most, left := 1+s.r.IntN(4), 3+s.r.IntN(16)
	if s.r.IntN(10) == 0 {
		most, left = 12, 30
	}
	for (left > 0 || len(m.flight) > 0) && !m.skipped {
		var err error
		switch n := s.r.IntN(20); {
		case n < 7 && left > 0 && len(m.flight) < most:
			left--
			m.send(s.op(), s.user())
		case n < 17 && len(m.flight) > 0:
			err = s.advance(m.flight[s.r.IntN(len(m.flight))])
		case n == 17:
			m.client.finish(s.r)
		case n == 18 && left > 0:
			s.step()
		case n == 19 && !m.honest && left > 0:
			err = s.plant()
		}
		if err != nil {
			return err
		}
	}
	if m.skipped {
		return nil
	}
	return m.heal(m.edges[s.r.IntN(2)])
}

func (s *rankSchedule) op() rankOp {
	if s.r.IntN(2) == 0 {
		return rankOp(s.r.IntN(2))
	}
	return rankOp(s.r.IntN(int(rankOps)))
}

func (s *rankSchedule) user() string { return s.users[s.r.IntN(len(s.users))] }

func (s *rankSchedule) advance(q *rankRequest) error {
	m := &s.model
	if q.served {
		if s.r.IntN(16) == 0 && m.clock.now.Sub(q.at) < time.Minute { // executed twice; one answer is lost
			return s.serve(q)
		}
		s.old = q.carried
		m.deliver(q, m.client.cookies && s.r.IntN(4) == 0, s.r.IntN(8) == 0)
		return nil
	}
	return s.serve(q)
}

func (s *rankSchedule) serve(q *rankRequest) error {
	tokens := tokensOf(q.carried)
	s.r.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	busy := time.Duration(0)
	switch s.r.IntN(40) {
	case 0:
		busy = time.Duration(s.r.IntN(16)) * time.Minute
	case 1, 2, 3:
		busy = time.Duration(s.r.IntN(3)) * time.Second
	}
	return s.model.serve(q, s.model.edges[s.r.IntN(2)], tokens, busy)
}

// step moves the clock on: a little, past the time within which journeys are one, past half of the
// life, past the life, past Idle, or past the end of the journey.
func (s *rankSchedule) step() {
	d := time.Duration(s.r.IntN(3)) * time.Second
	switch s.r.IntN(12) {
	case 0:
		d = 45 * time.Second
	case 1:
		d = modelLife/2 + 30*time.Second
	case 2:
		d = modelLife + time.Minute
	case 3:
		d = modelIdle - 10*time.Minute
	case 4:
		d = modelIdle + modelLife + 10*time.Minute
	case 5:
		if s.r.IntN(3) == 0 {
			d = modelJourney
		}
	}
	s.model.step(d)
}

func (m *rankModel) step(d time.Duration) {
	m.clock.step(d)
	m.trace("the clock moves on by %v", d)
	if d > modelLife {
		m.stays = ""
		for _, q := range m.flight {
			q.stays = ""
		}
	}
}

// plant gives the client a token that it did not get by an answer: an older token of the client, one of
// another client, one of another issuer with a subject, one of another protection, or rubbish.
func (s *rankSchedule) plant() error {
	m := &s.model
	var h modelCookie
	switch s.r.IntN(6) {
	case 0, 1:
		if len(s.old) == 0 {
			return nil
		}
		h = s.old[s.r.IntN(len(s.old))]
	case 2, 3:
		var err error
		if h, err = s.stranger(); err != nil {
			return err
		}
	case 4:
		h.token = s.issued(s.r.IntN(3) == 0)
	case 5:
		h.token = rubbish[s.r.IntN(len(rubbish))]
	}
	if h.name == "" || !m.client.cookies {
		h.name = h.token
	}
	if h.token != "" {
		m.client.set(h)
		m.trace("planted, the client holds %s", m.describe(m.client.held))
	}
	return nil
}

// rubbish are tokens that are no use to any edge of the model.
var rubbish = []string{
	"rubbish", "a.b.c", mac(keyOther, head("HS256", keyOther.kid()), vectorPayload),
	mac(keyRevoked, head("HS256", keyRevoked.kid()), vectorPayload), stray(signed(vectorPayload)), signed(`{"aud":"other"}`),
}

// stranger returns a token of another client.
func (s *rankSchedule) stranger() (h modelCookie, err error) {
	m := &s.model
	victim, flight := m.client, m.flight
	m.client, m.flight = &modelClient{cookies: victim.cookies}, nil
	defer func() { m.client, m.flight = victim, flight }()
	for range 1 + s.r.IntN(3) {
		q := m.send(s.op(), "eve")
		if err = m.serve(q, m.edges[0], tokensOf(q.carried), 0); err != nil || m.skipped {
			return h, err
		}
		m.deliver(q, false, false)
	}
	if len(m.client.held) > 0 {
		h = m.client.held[0]
	}
	return h, nil
}

// issued returns a token of another issuer with the same keys, which names a subject, or which has
// another protection.
func (s *rankSchedule) issued(foreign bool) string {
	m := &s.model
	now, id := m.clock.now.Unix(), len(m.records)
	var raw [16]byte
	raw[0], raw[1], raw[2], raw[3] = byte(now>>24), byte(now>>16), byte(now>>8), byte(now)
	raw[15] = byte(s.r.IntN(256))
	o := &rankOrigin{
		rankJourney: rankJourney{sid: b64(raw[:]), begun: now, sub: []string{"sue", "tom"}[s.r.IntN(2)], rank: int64(s.r.IntN(4)), foreign: foreign},
		exp:         now + 900, end: now + 43200, id: len(m.origins),
	}
	o.includes.add(id)
	m.records = append(m.records[:id:id], rankRecord{sub: o.sub, sid: o.sid, by: &rankRequest{}})
	payload := fmt.Sprintf(`{"aud":%q,"sid":%q,"iat":%d,"exp":%d,"end":%d,"sub":%q,"rev":1,"was":{"tags":[]},"sup":%d,"tags":[%d]}`,
		vectorDomain, o.sid, now, o.exp, o.end, o.sub, o.rank, id)
	token := signed(payload)
	if foreign {
		token = sealed(payload)
	}
	m.origins[token] = o
	return token
}

// TestRankModelOfAllOrders runs all orders in which three requests, two of which end or begin a
// journey, can be sent, executed and answered, and in which any of the answers can be lost. With
// -model.long, the clock moves on once, at any time.
func TestRankModelOfAllOrders(t *testing.T) {
	ring := modelRing(t)
	began := time.Now()
	orders := 0
	steps := []time.Duration{0}
	if *modelLong {
		steps = append(steps, time.Second, modelLife/2+time.Minute, modelLife+time.Minute, modelIdle+modelLife+10*time.Minute)
	}
	for n := range 2 * 2 * int(vacantLeave) * len(steps) {
		first, cookies, vacant, step := n%2 == 0, n/2%2 == 0, vacantRule(n/4)%vacantLeave, steps[n/4/int(vacantLeave)]
		cryptotest.SetGlobalRandom(t, *modelSeed)
		m := &rankModel{
			clock: newModelClock(), client: &modelClient{cookies: cookies}, vacant: vacant, honest: true,
			origins: map[string]*rankOrigin{},
		}
		m.edges = []*modelEdge{newModelEdge(t, ring, m.clock, 0)}
		if !first {
			q := m.send(rankWrite, "")
			if err := m.serve(q, m.edges[0], nil, 0); err != nil {
				t.Fatal(err)
			}
			m.deliver(q, false, false)
			m.clock.step(modelLife/2 + time.Second) // the next request renews
		}
		for _, plan := range threeRequests() {
			n, err := m.allOrders(plan, step, nil)
			orders += n
			if err != nil {
				t.Fatalf("first visit %v, cookies %v, vacant rule %d, step %v: %v", first, cookies, vacant, step, err)
			}
		}
	}
	t.Logf("%d orders in %v", orders, time.Since(began).Round(time.Millisecond))
}

// threeRequests returns which three requests may be sent: two of them end or begin a journey.
func threeRequests() (all [][]rankOp) {
	for at := range 3 {
		for _, a := range []rankOp{rankEnd, rankBegin} {
			for _, b := range []rankOp{rankEnd, rankBegin} {
				for _, c := range []rankOp{rankRead, rankWrite} {
					all = append(all, slices.Insert([]rankOp{a, b}, at, c))
				}
			}
		}
	}
	return all
}

// allOrders goes on with each possible event, and returns how many orders there are. The requests
// of plan have not been sent yet; the clock has still to move on by step. Servers keep no state, so
// when a request is executed makes a difference only to its clock: it is executed when it is sent,
// or when it is answered.
func (m *rankModel) allOrders(plan []rankOp, step time.Duration, path []string) (orders int, err error) {
	now := m.clock.now
	try := func(event string, plan []rankOp, step time.Duration, do func(c *rankModel) error) {
		if err != nil {
			return
		}
		m.clock.now = now
		c, path := m.clone(), append(path[:len(path):len(path)], event)
		if err = do(c); err != nil {
			err = fmt.Errorf("%q: %w", path, err)
			return
		}
		n := 1
		if !c.skipped {
			n, err = c.allOrders(plan, step, path)
		}
		orders += n
	}
	execute := func(c *rankModel, q *rankRequest) error { return c.serve(q, c.edges[0], tokensOf(q.carried), 0) }
	if len(plan) > 0 {
		user := []string{"", "ada", "bob"}[len(plan)%3]
		try("send "+plan[0].String(), plan[1:], step, func(c *rankModel) error {
			c.send(plan[0], user)
			return nil
		})
		if step > 0 {
			try("send and execute "+plan[0].String(), plan[1:], step, func(c *rankModel) error {
				return execute(c, c.send(plan[0], user))
			})
		}
	}
	for i, q := range m.flight {
		try(fmt.Sprintf("answer %v", q), plan, step, func(c *rankModel) error {
			q := c.flight[i]
			if !q.served {
				if err := execute(c, q); err != nil || c.skipped {
					return err
				}
			}
			c.deliver(q, false, false)
			if at := c.clock.now; !m.skipped { // the other answers may be lost
				err := c.clone().heal(c.edges[0])
				c.clock.now = at
				return err
			}
			return nil
		})
	}
	if step > 0 {
		try("step", plan, 0, func(c *rankModel) error {
			c.step(step)
			return nil
		})
	}
	if orders == 0 && err == nil {
		return 1, nil
	}
	return orders, err
}
