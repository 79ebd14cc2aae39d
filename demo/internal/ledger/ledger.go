// Package ledger writes down what the answers of the services acknowledged, and finds out whether
// anything of it was lost later. It believes nothing but the answers.
package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Ledger is the book of all journeys. It is safe for concurrent use.
type Ledger struct {
	Keep int // how many closed pages are kept; 0 for all of them. The counts are of all journeys in any case

	mu       sync.Mutex
	journeys []*Journey
	swaps    []Swap
	totals   Totals
	revoked  map[string]bool       // kids
	refused  map[string][]*Journey // by the kid that they came under, while nobody says that it was revoked
	lostAt   map[string]int
}

// Totals are what the ledger has counted.
type Totals struct {
	Started, Finished int
	Live              int // under way
	Lost              int // journeys that lost something
	Revoked           int // journeys that ended because their key was revoked
	Steps             int // acknowledged
	Moves, Elsewhere  int // consecutive steps; of these, on another gateway
	Parallel          int // claims changed by calls that ran side by side, all of them in the answer
}

// Swap is a change of keys, and the tokens that were opened after it.
type Swap struct {
	keys.Swap
	UnderOld, UnderNew int
}

// Journey is one booking's page. It remembers what the traveller was told, which no service does.
type Journey struct {
	ledger *Ledger
	sid    string
	state  trip.State // as last acknowledged
	last   string     // the gateway that acknowledged it
	lost   []string
	closed bool
}

// Begin opens a page.
func (l *Ledger) Begin() *Journey {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := &Journey{ledger: l}
	l.journeys = append(l.journeys, j)
	l.totals.Started++
	l.totals.Live++
	return j
}

// Close closes the page: nothing more is written on it.
func (j *Journey) Close() {
	l := j.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.totals.Live--
	j.closed = true
	if l.Keep > 0 && len(l.journeys) > 2*l.Keep {
		old := len(l.journeys) - l.Keep
		l.journeys = slices.DeleteFunc(l.journeys, func(j *Journey) bool {
			old--
			return old >= 0 && j.closed
		})
	}
}

// Swapped notes a change of keys.
func (l *Ledger) Swapped(s keys.Swap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.swaps = append(l.swaps, Swap{Swap: s})
}

// Revoked notes that a key is taken back: a journey under it may be refused. Who took it back may
// have told the services first, so journeys that were refused before count as revoked from now on,
// and not as lost.
func (l *Ledger) Revoked(kid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revoked == nil {
		l.revoked = map[string]bool{}
	}
	l.revoked[kid] = true
	for _, j := range l.refused[kid] {
		if len(j.lost) == 1 { // nothing else was wrong with it
			j.lost = nil
			l.totals.Lost--
			l.totals.Revoked++
			l.lostAt[j.last]--
		}
	}
	delete(l.refused, kid)
}

// sets says which claims a step of a booking sets; the others must come through it untouched. The
// stamps may only grow.
var sets = map[string][]string{
	gateway.Search:   {"to", "cell"},
	gateway.Flight:   {"flight", "total"},
	gateway.Hotel:    {"hotel", "total", "fee"},
	gateway.Currency: {"currency", "total"},
	gateway.Pay:      {"paid"},
	gateway.Ticket:   {"ticket"},
}

// sideBySide are the steps that make their calls in parallel, each call for one claim.
var sideBySide = []string{gateway.Flight, gateway.Hotel}

// Sent is the token that a request was sent with.
type Sent struct {
	KID string
	At  time.Time
}

// Acknowledge notes an answer that says a step was done, and compares it with what was acknowledged
// before. Want is what the traveller asked for, by claim.
func (j *Journey) Acknowledge(step string, want map[string]string, sent Sent, a gateway.Answer) {
	l := j.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	j.compare(step, a)
	for claim, v := range want {
		if got := strings.Trim(string(a.State[claim]), `"`); got != v {
			j.lose("step %s: %s is %q, want %q", step, claim, got, v)
		}
	}
	changed := 0
	for _, claim := range sets[step] {
		if a.State[claim] == nil {
			j.lose("step %s was acknowledged without its %s", step, claim)
		} else if string(a.State[claim]) != string(j.state[claim]) {
			changed++
		}
	}
	if slices.Contains(sideBySide, step) {
		l.totals.Parallel += changed
	}
	j.state = maps.Clone(a.State)
	l.totals.Steps++
	if j.last != "" {
		l.totals.Moves++
		if j.last != a.Gateway {
			l.totals.Elsewhere++
		}
	}
	j.last = a.Gateway
	l.opened(sent)
}

// Pending compares an answer that says a step is not done yet.
func (j *Journey) Pending(step string, a gateway.Answer) {
	j.ledger.mu.Lock()
	defer j.ledger.mu.Unlock()
	j.compare(step, a)
}

// compare finds what an earlier answer acknowledged and this one lacks. The caller holds the
// ledger's lock.
func (j *Journey) compare(step string, a gateway.Answer) {
	if j.sid == "" {
		j.sid = a.Journey
	}
	if a.Journey != j.sid {
		j.lose("step %s came to another journey", step)
	}
	for claim, before := range j.state {
		now, ok := a.State[claim]
		switch {
		case !ok:
			j.lose("step %s lacks %s", step, claim)
		case claim == trip.Step.Name() || slices.Contains(sets[step], claim):
		case claim == trip.Stamps.Name():
			for _, s := range stamps(before) {
				if !slices.Contains(stamps(now), s) {
					j.lose("step %s lacks the stamp of %s", step, s)
				}
			}
		case string(now) != string(before):
			j.lose("step %s has %s=%s, acknowledged was %s", step, claim, now, before)
		}
	}
}

// Forgotten notes that a step was refused because nobody knows the journey. That is a loss if
// anything of it was acknowledged before.
func (j *Journey) Forgotten(step string) {
	j.ledger.mu.Lock()
	defer j.ledger.mu.Unlock()
	if j.state != nil {
		j.lose("step %s: unknown session", step)
	}
}

// Refused notes that a step was refused because of the token that it was sent with. If the token's
// key was revoked, it had to be.
func (j *Journey) Refused(step string, sent Sent) {
	l := j.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revoked[sent.KID] {
		l.totals.Revoked++
		return
	}
	if l.refused == nil {
		l.refused = map[string][]*Journey{}
	}
	l.refused[sent.KID] = append(l.refused[sent.KID], j)
	j.lose("step %s: the token was refused", step)
}

// lose notes a loss. The caller holds the ledger's lock.
func (j *Journey) lose(format string, args ...any) {
	if len(j.lost) == 0 {
		l := j.ledger
		l.totals.Lost++
		if l.lostAt == nil {
			l.lostAt = map[string]int{}
		}
		l.lostAt[j.last]++
	}
	j.lost = append(j.lost, fmt.Sprintf(format, args...))
}

func stamps(raw []byte) []string { return strings.Split(strings.Trim(string(raw), `[]"`), `","`) }

// opened counts a token under the swaps that it came after. The caller holds the lock.
func (l *Ledger) opened(t Sent) {
	for i := range l.swaps {
		s := &l.swaps[i]
		switch {
		case t.At.Before(s.Active):
		case t.KID == s.Old:
			s.UnderOld++
		case t.KID == s.New:
			s.UnderNew++
		}
	}
}

// Finish notes that the booking is complete.
func (j *Journey) Finish() {
	j.ledger.mu.Lock()
	defer j.ledger.mu.Unlock()
	j.ledger.totals.Finished++
}

// Totals returns the counts.
func (l *Ledger) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.totals
}

// Swaps returns the changes of keys.
func (l *Ledger) Swaps() []Swap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.swaps)
}

// Lost describes the losses of each journey that lost something.
func (l *Ledger) Lost() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []string
	for _, j := range l.journeys {
		if len(j.lost) > 0 {
			lost = append(lost, j.sid+": "+strings.Join(j.lost, "; "))
		}
	}
	return lost
}

// LostAt returns how many journeys lost something whose last step a replica had acknowledged.
func (l *Ledger) LostAt(replica string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lostAt[replica]
}

// Tickets returns the number of each journey's ticket by the journey's id.
func (l *Ledger) Tickets() map[string]trip.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	tickets := map[string]trip.State{}
	for _, j := range l.journeys {
		if j.state[trip.Ticket.Name()] != nil {
			tickets[j.sid] = maps.Clone(j.state)
		}
	}
	return tickets
}
