// Package crew is the replicas in containers, which an engine starts again when they end. They are
// known by their signs of life, and end because they are asked to, over the broker.
package crew

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// A replica counts as down after silence without a sign of life. After forgotten it is no replica
// any more: it was replaced, or is not wanted any longer.
const (
	silence   = 2 * time.Second
	forgotten = 20 * time.Second
)

// patience is how long a replica that ended may take to come back. An engine that has had to start
// a container several times waits longer each time.
const patience = 30 * time.Second

// Crew is the replicas. It is safe for concurrent use.
type Crew struct {
	nc       *nats.Conn
	observer *watch.Observer
	roles    []string

	mu   sync.Mutex
	over map[string]string // the life of a replica that was ended here; by name
}

// Follow returns the replicas of some roles that the observer sees.
func Follow(nc *nats.Conn, observer *watch.Observer, roles []string) *Crew {
	return &Crew{nc: nc, observer: observer, roles: roles, over: map[string]string{}}
}

// Names returns the replicas of a role in order; of all roles if it is empty.
func (c *Crew) Names(role string) []string {
	var names []string
	for name, p := range c.observer.Tally().Present {
		is := tracing.Role(name)
		if time.Since(p.At) < forgotten && slices.Contains(c.roles, is) && (role == "" || role == is) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// State returns how a replica is: up if it gives signs of life, and was not asked to end in this
// life.
func (c *Crew) State(name string) page.State {
	p, ok := c.observer.Tally().Present[name]
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && time.Since(p.At) < silence && c.over[name] != p.Life {
		return page.Up
	}
	return page.Down
}

// PID returns 0: in its container each is process 1.
func (c *Crew) PID(string) int { return 0 }

// Crashes returns nothing: nobody here is told why a container ended.
func (c *Crew) Crashes() []string { return nil }

// Kill ends a replica in the middle of whatever it does, and returns when it is dead and the broker
// knows. It may be back by then.
func (c *Crew) Kill(ctx context.Context, name string) error {
	life, err := c.end(ctx, name, kill)
	if err != nil {
		return err
	}
	for {
		now, err := c.ask(ctx, name, ping)
		if errors.Is(err, nats.ErrNoResponders) || err == nil && now != life {
			return nil
		}
		if err := wait.For(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("crew: %s does not die: %w", name, err)
		}
	}
}

// Drain asks a replica to finish what it has in hand and to end. It takes no longer for that than
// it has decided itself.
func (c *Crew) Drain(ctx context.Context, name string, _ time.Duration) error {
	_, err := c.end(ctx, name, drain)
	return err
}

// Restart returns when a replica is back that was ended.
func (c *Crew) Restart(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for c.State(name) != page.Up {
		if err := wait.For(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("crew: %s has not come back; if the engine does not start it, "+
				"run docker compose up -d: %w", name, err)
		}
	}
	return nil
}

// end gives an order to end, and notes which life is over.
func (c *Crew) end(ctx context.Context, name, order string) (life string, err error) {
	if life, err = c.ask(ctx, name, order); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over[name] = life
	return life, nil
}

// ask gives an order, and returns the life that has received it. A replica whose line is paused
// answers afterwards.
func (c *Crew) ask(ctx context.Context, name, order string) (life string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := c.nc.RequestWithContext(ctx, subject+name, []byte(order))
	if err != nil {
		return "", fmt.Errorf("crew: %s does not answer: %w", name, err)
	}
	return string(answer.Data), nil
}
