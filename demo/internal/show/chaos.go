package show

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// twins go down together, so that the baseline has the same trouble: a gateway, and the server that
// does a gateway's work in the other lanes.
var twins = map[string]string{"gateway": "sticky", "sticky": "gateway"}

// twin returns the replica that goes down with another, if there is one: the second sticky server
// with the second gateway.
func (s *stage) twin(name string) string {
	i := slices.Index(s.fleet.Names(roleOf(name)), name)
	if theirs := s.fleet.Names(twins[roleOf(name)]); twins[roleOf(name)] != "" && i >= 0 && i < len(theirs) {
		return theirs[i]
	}
	return ""
}

// pair returns a replica and its twin, if it has one that runs.
func (s *stage) pair(name string) []string {
	if twin := s.twin(name); twin != "" && s.isUp(twin) {
		return []string{name, twin}
	}
	return []string{name}
}

// kill kills a replica and its twin, and returns how many requests and messages the replica had in
// hand. The label marks the kill on the charts.
func (s *stage) kill(ctx context.Context, name, label string) (cut int, err error) {
	pair := s.pair(name)
	what := "Killed " + name
	if pid := s.fleet.PID(name); pid != 0 {
		what += fmt.Sprintf(" (pid %d)", pid)
	}
	told := s.follow(page.Killed, label, what, pair...)
	for i, victim := range pair {
		life := s.observer.Life(victim)
		if err := s.fleet.Kill(ctx, victim); err != nil {
			return cut, err
		}
		n, err := s.observer.CutOff(ctx, life)
		if err != nil {
			return cut, err
		}
		if i == 0 {
			cut = n
		}
	}
	told(inHand(cut))
	return cut, nil
}

func inHand(calls int) string {
	if calls == 0 {
		return "nothing in hand"
	}
	return plural(calls, "call") + " in hand, made again"
}

// restart starts a replica that was killed, and its twin.
func (s *stage) restart(ctx context.Context, name string) error {
	var errs []error
	for _, replica := range []string{name, s.twin(name)} {
		if replica != "" && !s.isUp(replica) {
			errs = append(errs, s.fleet.Restart(ctx, replica))
		}
	}
	return errors.Join(errs...)
}

// aftermath is for how long losses are attributed to an event: a session's loss shows with its next
// step.
const aftermath = 5 * time.Second

// follow logs an event, and for a while its cost: the journeys with a waybill that were lost since,
// and the sessions that were lost with the sticky servers among the victims. The returned function
// adds a remark.
func (s *stage) follow(kind page.Kind, label, what string, victims ...string) (more func(string)) {
	theirs := func() (n int, any bool) {
		for _, v := range victims {
			n += s.sticky.Ledger.LostAt(v)
			any = any || roleOf(v) == "sticky"
		}
		return n, any
	}
	ours := s.ledger.Totals().Lost
	before, any := theirs()
	id := s.tell(kind, label, "%s.", what)
	var mu sync.Mutex
	word := ""
	tell := func() {
		mu.Lock()
		defer mu.Unlock()
		text := fmt.Sprintf("%s: %s%s lost", what, word, plural(s.ledger.Totals().Lost-ours, "journey"))
		if now, _ := theirs(); any {
			text += fmt.Sprintf("; sticky lost %d", now-before)
		}
		s.retell(id, "%s.", text)
	}
	go func() {
		for range int(aftermath / frame) {
			time.Sleep(frame)
			tell()
		}
	}()
	return func(w string) {
		mu.Lock()
		word = w + ", "
		mu.Unlock()
		tell()
	}
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// drain is how long a replica may take to end. The baseline spends 5 s of this waiting for its
// sessions.
const drain = 8 * time.Second

// rollAll restarts the replicas of each role one after the other, each after it has finished what
// it had in hand. The sticky servers are restarted at the same time.
func (s *stage) rollAll(ctx context.Context, roles ...string) error {
	lost, theirLost := s.ledger.Totals().Lost, s.sticky.Ledger.Totals().Lost
	n := 0
	var rolls []func() error
	for _, role := range roles {
		n += len(s.fleet.Names(role))
		rolls = append(rolls, func() error { return s.roll(ctx, role) })
	}
	id := s.tell(page.Restarted, "rolling restart", "A rolling restart of %d replicas begins; each drains first.", n)
	began := time.Now()
	theirs := make(chan error, 1)
	go func() { theirs <- s.roll(ctx, "sticky") }()
	err := wait.All(rolls...)
	took := time.Since(began)
	if err := errors.Join(err, <-theirs); err != nil {
		s.tell(page.Restarted, "", "The rolling restart failed: %v.", err)
		return err
	}
	s.retell(id, "Rolling restart: %d replicas in %.1f s, %s lost; "+
		"the sticky servers waited for their sessions and took %.1f s, and lost %d.",
		n, took.Seconds(), plural(s.ledger.Totals().Lost-lost, "journey"),
		time.Since(began).Seconds(), s.sticky.Ledger.Totals().Lost-theirLost)
	return nil
}

func (s *stage) roll(ctx context.Context, role string) error {
	for _, name := range s.fleet.Names(role) {
		if s.isUp(name) {
			if err := s.fleet.Drain(ctx, name, drain); err != nil {
				return err
			}
		}
		if err := s.fleet.Restart(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// rotate makes the operator propose the next key now.
func (s *stage) rotate(ctx context.Context) error {
	k, err := s.operator.Rotate(ctx)
	if err != nil {
		return err
	}
	s.tell(page.Rotated, "keys rotated", "Rotated the keys by hand: %s opens from now on, "+
		"and issues in %.1f s. Every older key goes on opening.", k.ID(), time.Until(k.Times().NotBefore).Seconds())
	return nil
}

// swapped logs a new key that a service proposed.
func (s *stage) swapped(swap keys.Swap) {
	s.ledger.Swapped(swap)
	if swap.By == keys.OperatorName || time.Now().After(swap.Active) {
		return // the first is logged by rotate, the second happened before anybody looked
	}
	s.tell(page.Rotated, "new key",
		"The %s proposed key %s. It opens from now on, and takes over from %s in %.1f s.",
		swap.By, swap.New, swap.Old, time.Until(swap.Active).Seconds())
}

// revoke takes a key back. Journeys under it end: revoking is for that.
func (s *stage) revoke(ctx context.Context, kid string) error {
	s.ledger.Revoked(kid)
	if err := s.operator.Revoke(ctx, kid); err != nil {
		return err
	}
	s.tell(page.Rotated, "key revoked",
		"Revoked key %s: every waybill under it is refused from now on, and its journeys end.", kid)
	return nil
}

// brokerPause is for how long the broker is paused.
const brokerPause = 2 * time.Second

// pauseBroker delays every message for a while.
func (s *stage) pauseBroker(d time.Duration) error {
	s.pauses.Pause(d, s.fleet.Names(""))
	told := s.follow(page.Broker, "broker paused", fmt.Sprintf("Paused the broker for %.0f s", d.Seconds()))
	told("requests over NATS and orders wait")
	return nil
}

// up returns the replicas that run, of one role or, without one, of all.
func (s *stage) up(role string) []string {
	return slices.DeleteFunc(s.fleet.Names(role), func(name string) bool { return !s.isUp(name) })
}

func (s *stage) isUp(name string) bool { return s.fleet.State(name) == page.Up }

// busy picks a replica of a role, and returns when it is in the middle of something.
func (s *stage) busy(ctx context.Context, rng *rand.Rand, role string) (name string, err error) {
	names := s.up(role)
	if len(names) == 0 {
		return "", fmt.Errorf("no %s is up", role)
	}
	name = names[rng.IntN(len(names))]
	if err := s.observer.Busy(ctx, name); err != nil {
		return "", fmt.Errorf("waiting for work at %s: %w", name, err)
	}
	// Somewhere in the middle of it.
	return name, wait.For(ctx, time.Duration(rng.Int64N(int64(8*time.Millisecond))))
}

func roleOf(replica string) string { return tracing.Role(replica) }
