package keyring

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policy is the rotation policy of a ring: it sets when keys are made, issue and expire. All nodes
// of a domain should have the same policy; they may differ while a change is rolled out. A zero
// field has its default, so the zero Policy is the default policy. [Policy.Validate] reports times
// that do not fit together.
type Policy struct {
	Period  time.Duration // between two keys of one protection; 24 h by default
	Delay   time.Duration // from the proposal of a key until it issues: for so long a node may be cut off; half a Period by default
	Settle  time.Duration // for which a node and the store must have a key before the node prefers it for issuing; 60 s by default
	Poll    time.Duration // between two reads of the store, on average; 30 s by default
	Horizon time.Duration // for which a key opens after its successor took over: the longest life of a stored message; 72 h by default
	Slack   time.Duration // for which a key opens beyond that if a rotation is late; 7 days by default
	MaxSkew time.Duration // by which a clock may be wrong; 5 s by default. A node whose clock is further off proposes no keys.

	TokenLife   time.Duration // longest life of a token; 1 h by default
	Protections []Protection  // whose keys are rotated; by default those that the ring can issue
}

// DefaultPolicy returns the default policy, with every field set.
func DefaultPolicy() Policy { return Policy{}.withDefaults() }

func (p Policy) withDefaults() Policy {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&p.Period, 24*time.Hour)
	set(&p.Delay, p.Period/2)
	set(&p.Settle, time.Minute)
	set(&p.Poll, 30*time.Second)
	set(&p.Horizon, 72*time.Hour)
	set(&p.Slack, 7*24*time.Hour)
	set(&p.MaxSkew, 5*time.Second)
	set(&p.TokenLife, time.Hour)
	return p
}

// margin is the largest difference between two clocks.
func (p Policy) margin() time.Duration { return 2 * p.MaxSkew }

// spread is how long before its time a key may be proposed. Each node chooses a random moment, so
// that the nodes of a fleet do not act at the same time.
func (p Policy) spread() time.Duration { return max(1, min(10*time.Minute, p.Delay/8)) }

// life is from a key's NotBefore to its Expires.
func (p Policy) life() time.Duration { return p.Period + p.Horizon + p.Slack }

// MinDelay returns the shortest time from the proposal of a key until it issues in which the key
// reaches every node that is in touch with the store. It is 2 min by default.
func (p Policy) MinDelay() time.Duration {
	p = p.withDefaults()
	return min(p.Delay, p.Settle+p.Poll+max(p.Poll, p.margin()+p.Poll/5))
}

// Validate returns an error that names every time that does not fit the others, and what it must
// be, and every protection that is unknown or listed twice.
func (p Policy) Validate() error {
	p = p.withDefaults()
	var errs []error
	for _, d := range []struct {
		name string
		is   time.Duration
	}{
		{"Period", p.Period}, {"Delay", p.Delay}, {"Settle", p.Settle}, {"Poll", p.Poll}, {"Horizon", p.Horizon},
		{"Slack", p.Slack}, {"MaxSkew", p.MaxSkew}, {"TokenLife", p.TokenLife},
	} {
		if d.is < 0 || d.is > 10*365*24*time.Hour {
			errs = append(errs, fmt.Errorf("keyring: %s %v is not between 0 and 10 years", d.name, d.is))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	least := func(name string, is time.Duration, formula string, want time.Duration) {
		if is < want {
			errs = append(errs, fmt.Errorf("keyring: %s %v is shorter than %s = %v", name, is, formula, want))
		}
	}
	least("Delay", p.Delay, "Settle + Poll + 2 MaxSkew, in which a key reaches every node", p.Settle+p.Poll+p.margin())
	least("Period", p.Period, "Delay / 8, or too many keys are pending", p.Delay/8)
	least("Horizon", p.Horizon, "TokenLife, or a key ends before its tokens", p.TokenLife)
	least("Slack", p.Slack, "Delay, or a late rotation leaves no key", p.Delay)
	if n := p.alive(); n > MaxKeys {
		errs = append(errs, fmt.Errorf("keyring: (Delay + Period + Horizon + Slack) / Period gives %d keys of a protection at once and the limit is %d: "+
			"use a longer Period, or a shorter Horizon or Slack", n, MaxKeys))
	}
	for i, protection := range p.Protections {
		if !protection.valid() || slices.Contains(p.Protections[:i], protection) {
			errs = append(errs, fmt.Errorf("keyring: Protections: %v (%d) is unknown or listed twice", protection, protection))
		}
	}
	return errors.Join(errs...)
}

// alive is how many keys of a protection live at once, with room for keys that are made out of
// turn.
func (p Policy) alive() int { return int((p.Delay+p.life())/p.Period) + 1 + extra }

const extra = 4

// pending is how many keys of one protection may be pending: twice the number of the schedule, for
// policies that are being changed.
func (p Policy) pending() int { return 2*(int(p.Delay/p.Period)+extra) + 1 }

// Genesis returns the first keys of a domain: one of each of Policy.Protections, or one of each
// protection if that is empty. They issue at once, even on nodes whose clock is late.
func (p Policy) Genesis(domain string, now time.Time) (*Set, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	protections := p.Protections
	if len(protections) == 0 {
		protections = []Protection{Signed, Sealed, Public}
	}
	keys, err := p.generate(protections, now.Add(-p.margin()), func(Protection) time.Time { return now.Add(-p.margin()) })
	if err != nil {
		return nil, err
	}
	return NewSet(domain, keys...)
}

// generate makes a key of each protection. It is created now, and its NotBefore is what from
// returns, rounded up to a second.
func (p Policy) generate(protections []Protection, now time.Time, from func(Protection) time.Time) ([]*Key, error) {
	var keys []*Key
	for _, protection := range protections {
		nbf := from(protection)
		if up := time.Unix(nbf.Unix(), 0); up.Before(nbf) && nbf.After(now) {
			nbf = up.Add(time.Second)
		}
		k, err := Generate(protection, Times{Created: now, NotBefore: nbf, Expires: nbf.Add(p.life() + time.Second)})
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// ErrFlood is returned for a ring that has more pending keys than the policy allows.
var ErrFlood = errors.New("keyring: too many pending keys")

// screen returns the set without the keys that a node with a correct clock and this policy cannot
// have made yet, and how many those are. They are checked again at each read, so a key that is only
// early is accepted long before it issues. A key that issues sooner than the policy's Delay is
// accepted, because it may be needed to open another node's tokens. An early key is accepted at once
// if own has it, or if no other key of its protection issues now: then it is all there is, for
// example after an operator with a fast clock burnt the ring.
func (p Policy) screen(s, own *Set, now time.Time, clock bool) (*Set, int, error) {
	future := func(k *Key) bool {
		t := k.times
		return t.Created.After(now.Add(p.margin())) || t.NotBefore.After(now.Add(p.Period+2*p.Delay+p.margin()))
	}
	issued := map[Protection]bool{}
	for _, k := range s.keys {
		issued[k.protection] = issued[k.protection] || k.issues(now, now) && !future(k)
	}
	waiting := map[Protection]int{}
	var taken []*Key
	for _, k := range s.keys {
		t := k.times
		early := clock && future(k) && issued[k.protection] && own.Lookup([]byte(k.kid)) == nil
		if early || t.Expires.Sub(t.NotBefore) > 10*p.life() {
			continue
		}
		if t.NotBefore.After(now) {
			if waiting[k.protection]++; waiting[k.protection] > p.pending() {
				return nil, 0, fmt.Errorf("%w: more than %d %s keys are pending", ErrFlood, p.pending(), k.protection)
			}
		}
		taken = append(taken, k)
	}
	if len(taken) == len(s.keys) {
		return s, 0, nil
	}
	screened, err := newSet(s.head, taken, s.revoked, s.ambiguous)
	return screened, len(s.keys) - len(taken), err
}
