package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of [Ring.Rotate] and [Ring.Revoke].
var (
	ErrFollows = errors.New("keyring: the ring only follows its source: to change it, open it with Maintain")
	ErrClock   = errors.New("keyring: the clock differs too much from the store's clock")
)

// maintainer is the state of a node that takes part in the rotation.
type maintainer struct {
	jitter   map[string]time.Duration // of the proposal that follows each newest key
	repairAt time.Duration            // when to put back what the store lost; 0: it lost nothing
	repairs  int                      // in a row
	holdOff  time.Duration            // until when nothing is proposed
	failed   int                      // proposals that failed in a row
	extended time.Duration            // when NeededSince was last called
	proposed []string                 // kids of a proposal whose outcome is unknown
}

// maintain does what is due after a read: it proposes the next keys, or puts back what the store
// lost. It acts only on what the read has shown, and does not write to a store that it cannot read.
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
		f.repairAt = 0
	case f.repairAt == 0:
		f.repairAt = now + f.chance.below(min(time.Second, f.policy.Poll)<<min(f.repairs, 8))
	}
	if !lacks && f.repairs > 0 && now > f.repairAt+f.ring.window {
		f.repairs = 0
	}
	if f.wild() || now < f.holdOff {
		return
	}
	repair := lacks && now >= f.repairAt
	protections := f.due(own)
	next := f.needs(ctx, own)
	if !repair && len(protections) == 0 && next == own {
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
	if f.commit(ctx, next) == nil && repair {
		f.repairAt = 0
		f.repairs++
		f.ring.n.repairs.Add(1)
		f.logger.Warn("waybill: restored keys that the store had lost", "ring", next.String())
	}
}

// lives reports whether the set has a key that has not expired. Keys are only added to such a set.
func (s *Set) lives(now time.Time) bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return !k.over(now) })
}

// wild reports whether this node's clock is too wrong to propose keys.
func (f *follower) wild() bool { return f.skewed.Load() && !f.off.Guard }

// settleOutcome checks whether a proposal with unknown outcome was stored.
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

// protections returns the protections whose keys are rotated.
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

// last returns the key of a protection with the latest NotBefore, pending or not.
func (s *Set) last(protection Protection) *Key {
	for _, k := range s.keys {
		if k.protection == protection && k.CanIssue() {
			return k
		}
	}
	return nil
}

// late returns by how much the next key of a protection is late, with and without this node's
// jitter.
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
		d = f.chance.below(spread)
		f.jitter[k.kid] = d
	}
	return exact - d, exact
}

// due returns the protections whose next key must be proposed. If one is due, it includes those
// that only wait for this node's jitter.
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

// successors makes the next keys. They issue a Period after their predecessors, but not sooner than
// a Delay from now unless nothing else can issue.
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

// maintainAt returns when the maintainer next has something to do.
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
	if f.repairAt != 0 {
		at = min(at, f.repairAt)
	}
	return max(at, f.holdOff)
}

// needs keeps the keys that stored messages need and that have less than half a Horizon left.
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
		f.logger.Warn("waybill: cannot keep keys for stored messages, because their age is unknown", "error", err)
		return set
	}
	if oldest.IsZero() {
		return set // there are no stored messages
	}
	short = slices.DeleteFunc(short, func(kid string) bool { return set.byID[kid].times.Expires.Before(oldest) })
	return set.Keep(now.Add(f.policy.Horizon), short...)
}

// commit replaces the ring of the last read by a set. A set is used only after the store has
// acknowledged it, or after it was read back.
func (f *follower) commit(ctx context.Context, next *Set) error {
	data, err := f.wrapper.Wrap(f.domain, next.generation, next.SecretJWKS())
	if err != nil {
		err = fmt.Errorf("%w: %w", errSealing, err)
		f.complain(err)
		return err
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
		f.next = 0 // read what the others wrote
	default:
		f.ring.n.unclear.Add(1)
		f.had = content{}
		f.proposed = nil
		for _, k := range next.keys {
			if before.byID[k.kid] == nil {
				f.proposed = append(f.proposed, k.kid)
			}
		}
		f.logger.Warn("waybill: outcome of a key ring change is unknown, reading the ring again", "error", err)
	}
	f.backOff()
	return err
}

var errSealing = errors.New("keyring: cannot seal the ring")

func (f *follower) complain(err error) {
	f.ring.n.casErrors.Add(1)
	f.backOff()
	f.logger.Warn("waybill: cannot change the key ring", "error", err)
}

// backOff waits longer after each failure, so that the nodes do not overload a store without a
// leader.
func (f *follower) backOff() {
	d := min(50*time.Millisecond<<min(f.failed, 16), 2*f.policy.Poll)
	f.failed++
	f.holdOff = f.ring.since() + d/2 + f.chance.below(d)
}

// change reads the store and writes the set that next returns, until the store has it or ctx ends.
// A nil set means that nothing is left to do. A timed change requires a correct clock.
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
		pause(ctx, 20*time.Millisecond+f.chance.below(50*time.Millisecond<<min(failed, 6)))
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("keyring: it is unknown whether the ring was changed: %w", ctx.Err()), err)
		}
	}
}

// attempt is one read and one write. It is not done if another attempt may succeed.
func (f *follower) attempt(ctx context.Context, timed bool, next func(own, stored *Set) (*Set, error)) (done bool, err error) {
	err = f.look(ctx)
	own := f.ring.Set()
	readable := f.had.known()
	switch {
	case timed && f.wild():
		return true, ErrClock
	case own == nil || !readable && err != nil && !f.offline.Load():
		return true, fmt.Errorf("keyring: cannot change the ring: %w", err)
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

// wake makes the loop read now.
func (f *follower) wake() {
	select {
	case f.want <- struct{}{}:
	default:
	}
}

// Rotate makes the next key of each protection now, before it is due, and returns when the store
// has the keys. They issue after Policy.MinDelay, or at once if nothing else can issue. Rotate
// requires a ring of [Maintain]; on any other it returns [ErrFollows]. The context bounds it.
func (r *Ring) Rotate(ctx context.Context) ([]*Key, error) {
	var made []*Key
	err := r.change(ctx, true, func(own, stored *Set) (*Set, error) {
		f := r.follower
		if made != nil && stored != nil && stored.byID[made[0].kid] != nil {
			return nil, nil // an earlier attempt succeeded
		}
		var err error
		if made == nil {
			if made, err = f.early(own, f.protections(own)); err != nil {
				return nil, err
			}
			if len(made) == 0 {
				return nil, errors.New("keyring: the ring has no key that can issue: set Policy.Protections to the protections to make keys of")
			}
		}
		return own.With(made...)
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// early makes keys that issue as soon as every node can have them, or at once if nothing else can
// issue.
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

// Revoke revokes a key and returns when the store has the revocation. Nodes that have read it
// neither open nor issue tokens of that key. If no other key can issue in its place, Revoke adds a
// new one that issues at once. Revoke requires a ring of [Maintain]; on any other it returns
// [ErrFollows]. The context bounds it.
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
