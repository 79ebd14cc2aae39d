package show

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
)

// Swaps is how often a run changes the issuing key.
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
}

// killsOf is how many kills go with so many journeys: two rounds over all services with the usual 300, one at least.
func killsOf(journeys int) int { return max(len(Roles), 2*len(Roles)*journeys/300) }

// run kills n times, changes the keys in between, and returns when the last key has been in use for a while.
func (s *script) run(ctx context.Context, n int) error {
	var victims []string
	for len(victims) < n {
		round := append([]string(nil), Roles...)
		s.rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
		victims = append(victims, round...)
	}
	var last keys.Swap
	for i, role := range victims[:n] {
		if err := pause(ctx, gap); err != nil {
			return err
		}
		if i == n/6 || i == n*2/3 { // far enough apart for each key to be in use for a while
			swap, err := s.keys.Swap()
			if err != nil {
				return err
			}
			s.ledger.Swapped(swap)
			last = swap
		}
		if err := s.kill(ctx, role); err != nil {
			return err
		}
	}
	return pause(ctx, time.Until(last.Active.Add(2*gap)))
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
