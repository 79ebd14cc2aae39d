package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// Fleet are the running replicas. It is safe for concurrent use.
type Fleet struct {
	janitor *process
	dir     string

	mu       sync.Mutex
	replicas map[string]*replica
	starting map[string]bool // by name
	crashes  []string
	closed   bool
}

type replica struct {
	spec Spec
	proc *process
	dead bool // killed on purpose
}

// Open returns an empty fleet with a new directory. The directory is removed when the fleet ends,
// even if it is killed.
func Open(ctx context.Context) (*Fleet, error) {
	janitor, dir, err := start(ctx, Spec{}, JanitorRole)
	if err != nil {
		return nil, err
	}
	return &Fleet{janitor: janitor, dir: dir, replicas: map[string]*replica{}, starting: map[string]bool{}}, nil
}

// JanitorRole is the argument that makes this binary run [Janitor].
const JanitorRole = "janitor"

// Dir returns the fleet's directory, which only its owner can enter.
func (f *Fleet) Dir() string { return f.dir }

// Start starts replicas side by side and waits until all serve.
func (f *Fleet) Start(ctx context.Context, specs ...Spec) error {
	var runs []func() error
	for _, s := range specs {
		runs = append(runs, func() error { return f.run(ctx, s) })
	}
	return wait.All(runs...)
}

func (f *Fleet) run(ctx context.Context, s Spec) error {
	f.setStarting(s.Name, true)
	defer f.setStarting(s.Name, false)
	proc, addr, err := start(ctx, s, s.Role, s.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	s.Addr = addr
	r := &replica{spec: s, proc: proc}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		proc.stop()
		return errors.New("fleet: closed")
	}
	f.replicas[s.Name] = r
	f.mu.Unlock()
	go f.guard(r)
	return nil
}

func (f *Fleet) setStarting(name string, is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting[name] = is
}

// guard notes the end of a replica that nobody here asked for, and starts it again.
func (f *Fleet) guard(r *replica) {
	<-r.proc.gone
	f.mu.Lock()
	if r.dead || f.closed {
		f.mu.Unlock()
		return
	}
	f.crashes = append(f.crashes, r.spec.Name)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.run(ctx, r.spec); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.crashes = append(f.crashes, err.Error())
	}
}

// Kill ends a replica with SIGKILL, in the middle of whatever it does, and returns when it is dead.
func (f *Fleet) Kill(_ context.Context, name string) error {
	f.end(name).kill()
	return nil
}

// Drain lets a replica finish what it has in hand, and returns when it has ended. It is killed if
// it takes longer.
func (f *Fleet) Drain(_ context.Context, name string, within time.Duration) error {
	f.end(name).drain(within)
	return nil
}

// end notes that a replica ends on purpose.
func (f *Fleet) end(name string) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.replicas[name]
	r.dead = true
	return r.proc
}

// Restart starts a replica that was killed, where it was.
func (f *Fleet) Restart(ctx context.Context, name string) error {
	f.mu.Lock()
	s := f.replicas[name].spec
	f.mu.Unlock()
	return f.run(ctx, s)
}

// State returns how a replica is. One that has just crashed is up: it is about to come back.
func (f *Fleet) State(name string) page.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r := f.replicas[name]; {
	case r != nil && !r.dead:
		return page.Up
	case f.starting[name]:
		return page.Starting
	}
	return page.Down
}

// Crashes returns the names of replicas that ended without being asked to, and why any of them did
// not come back.
func (f *Fleet) Crashes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.crashes)
}

// PID returns a replica's process id.
func (f *Fleet) PID(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[name].proc.cmd.Process.Pid
}

// Addrs returns where the replicas of a role listen, in the order of their names.
func (f *Fleet) Addrs(role string) []string {
	var addrs []string
	for _, name := range f.Names(role) {
		f.mu.Lock()
		addrs = append(addrs, f.replicas[name].spec.Addr)
		f.mu.Unlock()
	}
	return addrs
}

// Names returns the replicas of a role in order; of all roles if it is empty.
func (f *Fleet) Names(role string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name, r := range f.replicas {
		if role == "" || r.spec.Role == role {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Stop ends all replicas.
func (f *Fleet) Stop() {
	f.mu.Lock()
	f.closed = true
	var wg sync.WaitGroup
	for _, r := range f.replicas {
		wg.Go(r.proc.stop)
	}
	f.mu.Unlock()
	wg.Wait()
}

// Close ends all replicas, and the directory when nobody can write to it any more.
func (f *Fleet) Close() {
	f.Stop()
	f.janitor.stop()
}
