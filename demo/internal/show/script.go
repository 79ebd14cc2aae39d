package show

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/ledger"
)

// Swaps is how many changes of the issuing key a run waits for, at least.
const Swaps = 2

// gap is the time between two events: long enough for the travellers to be everywhere again.
const gap = 500 * time.Millisecond

// kill is one SIGKILL that interrupted something.
type kill struct {
	replica string
	cut     int // requests and messages that the process was handling
}

// script is what goes wrong, and when. The seed decides.
type script struct {
	*stage
	rng   *rand.Rand
	kills []kill

	// Between these a change of keys counts: there are travellers everywhere when it comes, and for a while after it.
	from, until time.Time
}

// killsOf is how many kills go with so many journeys: two rounds over all services with the usual 300, one at least.
func killsOf(journeys int) int { return max(len(Roles), 2*len(Roles)*journeys/300) }

// run kills n times, and returns when the services have also changed their keys often enough.
func (s *script) run(ctx context.Context, n int) error {
	s.from = time.Now().Add(2 * gap)
	var victims []string
	for len(victims) < n {
		round := append([]string(nil), Roles...)
		s.rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
		victims = append(victims, round...)
	}
	for _, role := range victims[:n] {
		if err := pause(ctx, gap); err != nil {
			return err
		}
		if err := s.kill(ctx, role); err != nil {
			return err
		}
	}
	for late := time.Now().Add((Swaps + 2) * keys.Policy.Period); ; {
		s.until = time.Now().Add(-2 * gap)
		if len(s.swaps()) >= Swaps || time.Now().After(late) { // the verdict says which
			return nil
		}
		if err := pause(ctx, gap/5); err != nil {
			return err
		}
	}
}

// swaps returns the changes of keys that count.
func (s *script) swaps() []ledger.Swap {
	return slices.DeleteFunc(s.ledger.Swaps(), func(swap ledger.Swap) bool {
		return swap.Active.Before(s.from) || swap.Active.After(s.until)
	})
}

// kill kills a replica of a role while it is handling something, and starts it again where it was. A kill that came
// just too late to interrupt anything does not count.
func (s *script) kill(ctx context.Context, role string) error {
	names := s.fleet.Names(role)
	for {
		name := names[s.rng.IntN(len(names))]
		pid := s.fleet.PID(name)
		if err := s.observer.Busy(ctx, pid); err != nil {
			return fmt.Errorf("waiting for work at %s: %w", name, err)
		}
		// Somewhere in the middle of it.
		if err := pause(ctx, time.Duration(s.rng.Int64N(int64(8*time.Millisecond)))); err != nil {
			return err
		}
		s.fleet.Kill(name)
		cut, err := s.observer.CutOff(ctx, pid)
		if err != nil {
			return err
		}
		if err := s.fleet.Restart(ctx, name); err != nil {
			return err
		}
		if cut > 0 {
			s.kills = append(s.kills, kill{name, cut})
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
