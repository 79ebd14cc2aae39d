package show

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/ledger"
)

// How quickly the keys follow each other: as quickly as they can, or so that one can watch.
const (
	hectic = 4 * time.Second
	calm   = 30 * time.Second
)

// swapsWanted is how many changes of the issuing key a storm waits for, at least.
const swapsWanted = 2

// gap is the time between two kills: long enough for the travellers to be everywhere again.
const gap = 500 * time.Millisecond

// kill is one SIGKILL that interrupted something.
type kill struct {
	replica string
	cut     int // requests and messages that the process was handling
}

// storm is the show without a page: kills without a pause, while the services rotate their keys. The seed decides.
type storm struct {
	*stage
	rng   *rand.Rand
	kills []kill
	probe probe

	// A change of keys counts between these times: there are travellers everywhere when it comes, and for a while after it.
	from, until time.Time
}

// killsOf is how many kills go with so many journeys: two rounds over all services with the usual 300, at least one.
func killsOf(journeys int) int { return max(len(Roles), 2*len(Roles)*journeys/300) }

// run starts bookings until there are enough and the kills are over.
func (s *storm) run(ctx context.Context, journeys int) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- s.rage(ctx, killsOf(journeys)) }()
	running := true
	s.book(ctx, rate, func(n int) bool {
		select {
		case err = <-over:
			running = false
			if err != nil {
				cancel()
				return false
			}
		default:
		}
		more := n < journeys || running
		if !more {
			s.until = time.Now().Add(-2 * gap)
		}
		return more
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// rage kills n times, and returns when the services have also changed their keys often enough.
func (s *storm) rage(ctx context.Context, n int) error {
	s.from = time.Now().Add(2 * gap)
	var victims []string
	for len(victims) < n {
		round := slices.Clone(Roles)
		s.rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
		victims = append(victims, round...)
	}
	for _, role := range victims[:n] {
		if err := pause(ctx, gap); err != nil {
			return err
		}
		if err := s.strike(ctx, role); err != nil {
			return err
		}
	}
	if err := s.probe.run(ctx, s.stage); err != nil {
		return err
	}
	for late := time.Now().Add((swapsWanted + 2) * hectic); ; {
		s.until = time.Now().Add(-2 * gap)
		if len(s.swaps()) >= swapsWanted || time.Now().After(late) { // the verdict says which
			return nil
		}
		if err := pause(ctx, gap/5); err != nil {
			return err
		}
	}
}

// swaps returns the changes of keys that count.
func (s *storm) swaps() []ledger.Swap {
	return slices.DeleteFunc(s.ledger.Swaps(), func(swap ledger.Swap) bool {
		return swap.Active.Before(s.from) || swap.Active.After(s.until)
	})
}

// strike kills a replica of a role while it is handling something, and starts it again where it was. A kill that came
// just too late to interrupt anything does not count.
func (s *storm) strike(ctx context.Context, role string) error {
	for {
		name, err := s.busy(ctx, s.rng, role)
		if err != nil {
			return err
		}
		cut, err := s.kill(ctx, name, name+" killed")
		if err != nil {
			return err
		}
		if err := s.restart(ctx, name); err != nil {
			return err
		}
		if cut > 0 {
			s.kills = append(s.kills, kill{name, cut})
			return nil
		}
	}
}
