package keyring

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What a ring that shall change its store may answer.
var (
	ErrFollows = errors.New("keyring: this ring only follows its source, it does not change it")
	ErrClock   = errors.New("keyring: the clock differs too much from that of the store")
)

// maintainer is the state of a node that takes part in the rotation.
type maintainer struct {
	jitter   map[string]time.Duration // of the proposal after each newest key
	mendAt   time.Duration            // when to put back what the store lost; 0: it lost nothing
	mends    int                      // one after the other
	holdOff  time.Duration            // until when nothing is proposed
	failed   int                      // proposals that failed, one after the other
	extended time.Duration            // when stored messages were last asked for
	proposed []string                 // kids of a proposal of which the outcome is unknown
}

// maintain does what is due after a read: it proposes the next keys, or puts back what the store lost. It acts only on
// what the read has shown; a store that it cannot read it does not write.
func (f *follower) maintain(ctx context.Context) {
	own := f.ring.Set()
	if !f.had.known() || f.had.set == nil && f.off.Union || own == nil || !own.lives(f.now()) {
		return
	}
	f.settleOutcome()
	now := f.ring.since()
	lacks := !f.off.Union && (f.had.stale || !f.covers(f.had.set))
	switch {
	case !lacks:
		f.mendAt = 0
	case f.mendAt == 0:
		f.mendAt = now + rand.N(min(time.Second, f.policy.Poll)<<min(f.mends, 8))
	}
	if !lacks && f.mends > 0 && now > f.mendAt+f.ring.window {
		f.mends = 0
	}
	if f.wild() || now < f.holdOff {
		return
	}
	mend := lacks && now >= f.mendAt
	protections := f.due(own)
	next := f.needs(ctx, own)
	if !mend && len(protections) == 0 && next == own {
		return
	}
	keys, err := f.successors(own, protections)
	if err == nil {
		next, err = next.With(keys...)
	}
	if err != nil {
		f.complain(err)
		return
	}
	if f.commit(ctx, next) == nil && mend {
		f.mendAt = 0
		f.mends++
		f.ring.n.repairs.Add(1)
		f.logger.Warn("waybill: put back what the store had lost", "ring", next.String())
	}
}

// lives reports whether the set has a key that has not ended. Nothing is built on one without.
func (s *Set) lives(now time.Time) bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return !k.over(now) })
}

// wild reports whether this node's clock forbids proposals.
func (f *follower) wild() bool { return f.skewed.Load() && !f.off.Guard }

// settleOutcome looks whether a proposal came through of which that was unknown.
func (f *follower) settleOutcome() {
	if len(f.proposed) == 0 {
		return
	}
	if set := f.had.set; set != nil && set.byID[f.proposed[0]] != nil {
		f.ring.n.won.Add(1)
		f.failed = 0
	}
	f.proposed = nil
}

// algorithms returns those that are rotated.
func (f *follower) protections(set *Set) []Protection {
	if len(f.policy.Protections) > 0 {
		return f.policy.Protections
	}
	var protections []Protection
	for _, k := range set.keys {
		if k.CanIssue() && !slices.Contains(protections, k.protection) {
			protections = append(protections, k.protection)
		}
	}
	slices.Sort(protections)
	return protections
}

// last is the newest key of an algorithm, pending or not.
func (s *Set) last(protection Protection) *Key {
	for _, k := range s.keys {
		if k.protection == protection && k.CanIssue() {
			return k
		}
	}
	return nil
}

// late returns by how much the next key of an algorithm is late, with and without this node's jitter.
func (f *follower) late(set *Set, protection Protection) (jittered, exact time.Duration) {
	k := set.last(protection)
	if k == nil {
		return 0, 0
	}
	spread := f.policy.spread()
	exact = f.now().Sub(k.times.NotBefore.Add(f.policy.Period - f.policy.Delay - spread))
	d, ok := f.jitter[k.kid]
	if !ok {
		if len(f.jitter) > 4*MaxKeys {
			clear(f.jitter)
		}
		d = rand.N(spread)
		f.jitter[k.kid] = d
	}
	return exact - d, exact
}

// due returns the algorithms of which the next key is to be proposed. If it is time for one, those go along whose time
// this node is only waiting out.
func (f *follower) due(set *Set) []Protection {
	var protections []Protection
	now := false
	for _, protection := range f.protections(set) {
		jittered, exact := f.late(set, protection)
		now = now || jittered >= 0
		if exact >= 0 {
			protections = append(protections, protection)
		}
	}
	if !now {
		return nil
	}
	return protections
}

// successors makes the next keys. They issue a Period after those before them, and not sooner than a Delay from now, unless
// otherwise nothing would issue.
func (f *follower) successors(set *Set, protections []Protection) ([]*Key, error) {
	now := f.now()
	return f.policy.generate(protections, now, func(protection Protection) time.Time {
		next := now.Add(f.policy.Delay)
		if set.Active(protection, now, now.Add(f.policy.TokenLife+f.policy.margin())) == nil {
			next = now.Add(f.policy.MinDelay())
		}
		if k := set.last(protection); k != nil {
			next = latest(next, k.times.NotBefore.Add(f.policy.Period))
		}
		return next
	})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maintainAt is when the maintainer has something to do.
func (f *follower) maintainAt(now time.Duration) time.Duration {
	set := f.ring.Set()
	at := f.next
	if !f.had.known() || f.wild() || set == nil || !set.lives(f.now()) {
		return at
	}
	for _, protection := range f.protections(set) {
		jittered, _ := f.late(set, protection)
		at = min(at, now-jittered)
	}
	if f.mendAt != 0 {
		at = min(at, f.mendAt)
	}
	return max(at, f.holdOff)
}

// needs keeps the keys that stored messages need, while they have less than half a Horizon left.
func (f *follower) needs(ctx context.Context, set *Set) *Set {
	if f.needed == nil {
		return set
	}
	now, mono := f.now(), f.ring.since()
	var short []string
	for _, k := range set.keys {
		if !k.ends().After(now.Add(f.policy.Horizon / 2)) {
			short = append(short, k.kid)
		}
	}
	if len(short) == 0 || f.extended != 0 && mono-f.extended < f.policy.Poll {
		return set
	}
	f.extended = mono
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	oldest, err := f.needed(ctx)
	if err != nil {
		f.logger.Warn("waybill: no keys are kept for stored messages, their age is not known", "error", err)
		return set
	}
	if oldest.IsZero() {
		return set // there are none
	}
	short = slices.DeleteFunc(short, func(kid string) bool { return set.byID[kid].times.Expires.Before(oldest) })
	return set.Keep(now.Add(f.policy.Horizon), short...)
}

// commit writes a set in the place of what the last read has shown. Only what the store has acknowledged, or has been
// read back, is ever used.
func (f *follower) commit(ctx context.Context, next *Set) error {
	data, err := f.wrapper.Wrap(f.domain, next.generation, next.SecretJWKS())
	if err != nil {
		f.complain(fmt.Errorf("keyring: the ring cannot be sealed: %w", err))
		return fmt.Errorf("%w: %w", errSealing, err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	before := f.ring.Set()
	rev, err := f.store.CompareAndSwap(ctx, f.rev, data)
	switch {
	case err == nil:
		f.ring.n.won.Add(1)
		f.failed, f.holdOff = 0, 0
		f.rev, f.last = rev, data
		f.had = content{set: next}
		f.size.Store(int64(len(data)))
		f.sighted.see(next, f.ring.since(), f.ring.window)
		if err := f.install(next); err != nil {
			return err
		}
		f.remember(data)
		return nil
	case errors.Is(err, ErrConflict):
		f.ring.n.lost.Add(1)
		f.had = content{}
		f.next = 0 // look what the others did
	default:
		f.ring.n.unclear.Add(1)
		f.had = content{}
		f.proposed = nil
		for _, k := range next.keys {
			if before.byID[k.kid] == nil {
				f.proposed = append(f.proposed, k.kid)
			}
		}
		f.logger.Warn("waybill: the outcome of a change of the key ring is unknown, it is read again", "error", err)
	}
	f.backOff()
	return err
}

var errSealing = errors.New("keyring: the ring cannot be sealed")

func (f *follower) complain(err error) {
	f.ring.n.casErrors.Add(1)
	f.backOff()
	f.logger.Warn("waybill: the key ring cannot be changed", "error", err)
}

// backOff waits longer with each failure, so that a store without a leader is not stormed.
func (f *follower) backOff() {
	d := min(50*time.Millisecond<<min(f.failed, 16), 2*f.policy.Poll)
	f.failed++
	f.holdOff = f.ring.since() + d/2 + rand.N(d)
}

// change reads the store and writes what next makes of the ring, until that is there or ctx ends. A nil set says that
// nothing is left to do. What is timed needs a right clock.
func (r *Ring) change(ctx context.Context, timed bool, next func(own, stored *Set) (*Set, error)) error {
	if r == nil || r.follower == nil || r.follower.store == nil {
		return ErrFollows
	}
	f := r.follower
	for {
		if !f.lock(ctx) {
			return ctx.Err()
		}
		done, err := f.attempt(ctx, timed, next)
		failed := f.failed
		f.unlock()
		if done {
			f.wake()
			return err
		}
		pause(ctx, 20*time.Millisecond+rand.N(50*time.Millisecond<<min(failed, 6)))
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("keyring: whether the ring was changed is not known: %w", ctx.Err()), err)
		}
	}
}

// attempt is one read and one write. It is not done while another attempt may do better.
func (f *follower) attempt(ctx context.Context, timed bool, next func(own, stored *Set) (*Set, error)) (done bool, err error) {
	err = f.look(ctx)
	own := f.ring.Set()
	readable := f.had.known()
	switch {
	case timed && f.wild():
		return true, ErrClock
	case own == nil || !readable && err != nil && !f.offline.Load():
		return true, fmt.Errorf("keyring: the ring cannot be changed: %w", err)
	case !readable:
		return false, err
	}
	f.settleOutcome()
	set, err := next(own, f.had.set)
	if err != nil || set == nil {
		return true, err
	}
	err = f.commit(ctx, set)
	return err == nil || errors.Is(err, errSealing), err
}

// wake has the loop look now.
func (f *follower) wake() {
	select {
	case f.want <- struct{}{}:
	default:
	}
}

// Rotate proposes the next key of each algorithm now, out of turn, and returns when the store has them. They issue after
// Policy.MinDelay, at once if otherwise nothing would. It works on a ring of [Maintain]; ctx bounds it.
func (r *Ring) Rotate(ctx context.Context) ([]*Key, error) {
	var made []*Key
	err := r.change(ctx, true, func(own, stored *Set) (*Set, error) {
		f := r.follower
		if made != nil && stored != nil && stored.byID[made[0].kid] != nil {
			return nil, nil // an earlier attempt came through
		}
		var err error
		if made == nil {
			if made, err = f.early(own, f.protections(own)); err != nil {
				return nil, err
			}
			if len(made) == 0 {
				return nil, errors.New("keyring: the ring has no key that shows what to rotate: set Policy.Protections")
			}
		}
		return own.With(made...)
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// early makes keys that issue as soon as every node can have them, or at once where nothing issues anyway.
func (f *follower) early(set *Set, protections []Protection) ([]*Key, error) {
	now := f.now()
	if f.skewed.Load() {
		now = now.Add(time.Duration(f.offset.Load()))
	}
	first := now.Add(-f.policy.margin())
	var keys []*Key
	for _, protection := range protections {
		created, from := now, now.Add(f.policy.MinDelay())
		if set.Active(protection, now, now.Add(f.policy.margin())) == nil {
			created, from = first, first
		}
		made, err := f.policy.generate([]Protection{protection}, created, func(Protection) time.Time { return from })
		if err != nil {
			return nil, err
		}
		keys = append(keys, made...)
	}
	return keys, nil
}

// Revoke takes a key back: it opens and issues nothing any more, on no node. If nothing would issue in its place, a new key
// does at once. Tokens under the key are refused from then on. It works on a ring of [Maintain]; ctx bounds it.
func (r *Ring) Revoke(ctx context.Context, kid, reason string) error {
	return r.change(ctx, false, func(own, stored *Set) (*Set, error) {
		if own.Revoked([]byte(kid)) && stored.Revoked([]byte(kid)) {
			return nil, nil
		}
		set, err := own.Revoke(kid, r.follower.now(), reason)
		if err != nil || own.byID[kid] == nil || !own.byID[kid].CanIssue() {
			return set, err
		}
		protection, now := own.byID[kid].protection, r.follower.now()
		if set.Active(protection, now, now) != nil || own.Active(protection, now, now) == nil {
			return set, nil
		}
		keys, err := r.follower.early(set, []Protection{protection})
		if err != nil {
			return nil, err
		}
		return set.With(keys...)
	})
}
