package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/waybill-go/waybill/internal/keyfault"
)

// Option configures [Follow], [LoadFile] and [Maintain].
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	domain  string
	policy  Policy
	poll    time.Duration
	polled  bool
	logger  *slog.Logger
	parse   func([]byte) (*Set, error)
	wrapper Wrapper
	wrapped bool // there must be a wrapper
	cache   string
	now     func() time.Time
	waits   bool
	needed  func(context.Context) (time.Time, error)
	off     keyfault.Off
}

// Poll sets how often the source is read, on average; that of the policy, which is 30 s by default. The intervals vary by a
// fifth, so that a fleet does not read in step.
func Poll(every time.Duration) Option {
	return option(func(c *config) { c.poll, c.polled = every, true })
}

// Logger sets where a ring reports that it kept its last good set; slog.Default by default.
func Logger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

// Foreign reads a JWK Set that other software made, as [ParseForeign] does.
func Foreign(domain string) Option {
	return option(func(c *config) {
		c.parse = func(data []byte) (*Set, error) { return ParseForeign(domain, data) }
	})
}

// Wrapped opens a ring that is sealed in its source. [Domain] has to say of which domain it is. Such a ring is united
// with what the process knows already, instead of replacing it; see [Set.Union].
func Wrapped(w Wrapper) Option { return option(func(c *config) { c.wrapper, c.wrapped = w, true }) }

// Domain says of which trust domain the ring has to be. It is required for a sealed ring.
func Domain(name string) Option { return option(func(c *config) { c.domain = name }) }

// WithPolicy sets how keys follow each other; [DefaultPolicy] by default. It is for sealed rings: in a plain file the
// operator decides.
func WithPolicy(p Policy) Option { return option(func(c *config) { c.policy = p }) }

// Cache keeps a copy of the sealed ring in a file of mode 0600, so that a process can start while the store is down.
func Cache(path string) Option { return option(func(c *config) { c.cache = path }) }

// Clock sets the clock; time.Now by default. It is for tests.
func Clock(now func() time.Time) Option { return option(func(c *config) { c.now = now }) }

// WaitUnknown lets the opening of a token under an unknown key wait for one shared read of the store, at most 250 ms.
// Without it such a token is refused at once, and the read happens in the background.
func WaitUnknown() Option { return option(func(c *config) { c.waits = true }) }

// NeededSince names the time of the oldest stored message whose token has still to be opened. A keeper asks for it and keeps
// the keys of that time in the ring, on all nodes, a Horizon longer. An error keeps what is kept.
func NeededSince(oldest func(context.Context) (time.Time, error)) Option {
	return option(func(c *config) { c.needed = oldest })
}

var (
	errNoStore   = errors.New("keyring: the store is nil")
	errNoWrapper = errors.New("keyring: the wrapper is nil: a ring in a store is sealed, see package agering")
)

func newConfig(ctx context.Context, opts []Option) (config, error) {
	c := config{logger: slog.Default(), parse: ParseSet, now: time.Now, off: keyfault.From(ctx)}
	for _, o := range opts {
		if o == nil {
			return c, errors.New("keyring: an option is nil")
		}
		o.apply(&c)
	}
	switch {
	case c.wrapped && c.wrapper == nil:
		return c, errNoWrapper
	case c.logger == nil:
		return c, errors.New("keyring: the logger is nil: leave out the option Logger for slog.Default")
	case c.now == nil:
		return c, errors.New("keyring: the clock is nil: leave out the option Clock for time.Now")
	}
	if c.polled {
		if c.poll <= 0 {
			return c, fmt.Errorf("keyring: poll interval %v is not positive", c.poll)
		}
		c.policy.Poll = c.poll
	}
	c.policy = c.policy.withDefaults()
	if c.wrapper == nil {
		if c.cache != "" {
			return c, errors.New("keyring: only a sealed ring may be cached: use Wrapped")
		}
		return c, nil
	}
	if err := CheckDomain(c.domain); err != nil {
		return c, fmt.Errorf("%w: a sealed ring needs the option Domain", err)
	}
	if !c.off.Validate {
		return c, c.policy.Validate()
	}
	return c, nil
}

// Follow reads the ring from source, and again in the background until [Ring.Close]. The context bounds the first read. A
// later read that fails, or brings something that is not a ring of the same domain, changes nothing and is logged.
//
// A plain ring has to be there: if the first read fails, so does Follow, and each later one replaces the keys, as the
// operator who writes the file is the authority. A sealed ring, with [Wrapped], may be out of reach: the keys come from
// the [Cache], or [Ring.Ready] says that there are none yet.
func Follow(ctx context.Context, source Source, opts ...Option) (*Ring, error) {
	if source == nil {
		return nil, errors.New("keyring: the source is nil")
	}
	c, err := newConfig(ctx, opts)
	if err != nil {
		return nil, err
	}
	return open(ctx, source, nil, c)
}

// Maintain opens a sealed ring as [Follow] does, and takes part in its rotation: when the time for the next key has come, it
// proposes one by compare-and-swap. Of all nodes exactly one wins; there is no leader and no lock. It also puts back what the
// store lost. It never creates a ring: that is an operator's [Create].
func Maintain(ctx context.Context, store Store, wrapper Wrapper, opts ...Option) (*Ring, error) {
	if store == nil {
		return nil, errNoStore
	}
	c, err := newConfig(ctx, append(opts[:len(opts):len(opts)], Wrapped(wrapper)))
	if err != nil {
		return nil, err
	}
	return open(ctx, store, store, c)
}

// Create puts the first set of a domain into a store. It is an operator's act. A store that holds a ring gives
// [ErrConflict].
func Create(ctx context.Context, store Store, wrapper Wrapper, set *Set) error {
	switch {
	case store == nil:
		return errNoStore
	case wrapper == nil:
		return errNoWrapper
	case set == nil:
		return errors.New("keyring: the set is nil: make the first one with Policy.Genesis")
	}
	data, err := wrapper.Wrap(set.domain, set.generation, set.SecretJWKS())
	if err != nil {
		return fmt.Errorf("keyring: the ring cannot be sealed: %w", err)
	}
	_, err = store.CompareAndSwap(ctx, 0, data)
	return err
}

func open(ctx context.Context, source Source, store Store, c config) (*Ring, error) {
	r := &Ring{born: time.Now()}
	if c.wrapper != nil {
		r.margin = c.policy.margin()
	}
	r.window = 3 * c.policy.Poll
	r.follower = newFollower(r, source, store, c)
	if err := r.follower.start(ctx); err != nil {
		return nil, err
	}
	r.done = make(chan struct{})
	ctx, r.stop = context.WithCancel(context.Background())
	go r.follower.run(ctx)
	return r, nil
}
