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

	foreign    bool
	copying    time.Duration
	copyingSet bool
}

// Poll sets how often the source is read, on average; by default Policy.Poll, which is 30 s. The
// intervals vary by a fifth, so that the nodes of a fleet do not read at the same time.
func Poll(every time.Duration) Option {
	return option(func(c *config) { c.poll, c.polled = every, true })
}

// Logger sets the logger for failed reads and for changes of the ring; slog.Default by default.
func Logger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

// Foreign reads a JWK Set of other software, as [ParseForeign] does. Entries that cannot be used are
// skipped: [Stats] counts them, and the log says once why.
func Foreign(domain string) Option {
	return option(func(c *config) {
		c.foreign = true
		c.parse = func(data []byte) (*Set, error) { return ParseForeign(domain, data) }
	})
}

// Wrapped unseals a ring that is sealed in its source. It requires the option [Domain]. The keys of
// such a ring are united with the keys that the process has, and do not replace them; see
// [Set.Union].
func Wrapped(w Wrapper) Option { return option(func(c *config) { c.wrapper, c.wrapped = w, true }) }

// Domain sets the trust domain that the ring must be of. It is required for a sealed ring.
func Domain(name string) Option { return option(func(c *config) { c.domain = name }) }

// WithPolicy sets the rotation policy; [DefaultPolicy] by default. It applies to sealed rings only:
// the operator rotates the keys in a plain file.
func WithPolicy(p Policy) Option { return option(func(c *config) { c.policy = p }) }

// Cache stores a copy of the sealed ring in a file of mode 0600, so that a process can start while
// the store is down.
func Cache(path string) Option { return option(func(c *config) { c.cache = path }) }

// Clock sets the clock; time.Now by default. It is for tests.
func Clock(now func() time.Time) Option { return option(func(c *config) { c.now = now }) }

// WaitUnknown makes the opening of a token with an unknown kid wait for a read of the store, which
// all such tokens share, for at most 250 ms. Without this option such a token is rejected at once,
// and the store is read in the background.
func WaitUnknown() Option { return option(func(c *config) { c.waits = true }) }

// NeededSince sets a function that returns the time of the oldest stored message whose token must
// still be opened. [Maintain] calls it and keeps the keys of that time in the ring, on all nodes,
// for another Policy.Horizon. After an error no key is kept longer than before.
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
			return c, fmt.Errorf("keyring: the poll interval %v must be greater than zero", c.poll)
		}
		c.policy.Poll = c.poll
	}
	c.policy = c.policy.withDefaults()
	if c.wrapper == nil {
		if c.cache != "" {
			return c, errors.New("keyring: only a sealed ring can be cached: add the option Wrapped, or leave out Cache")
		}
		return c, nil
	}
	if err := CheckDomain(c.domain); err != nil {
		return c, fmt.Errorf("%w: a sealed ring requires the option Domain", err)
	}
	if !c.off.Validate {
		return c, c.policy.Validate()
	}
	return c, nil
}

// Follow reads the ring from source, and reads it again in the background until [Ring.Close]. The
// context bounds the first read. A later read that fails, or returns anything but a ring of the
// same domain, changes nothing and is logged.
//
// For a plain ring, Follow returns an error if the first read fails; each later read replaces the
// keys, because the operator who writes the file decides. For a sealed ring, with [Wrapped], the
// source may be unreachable at the start: the keys then come from the [Cache], or [Ring.Ready]
// reports that there are none yet.
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

// Maintain follows a sealed ring as [Follow] does and takes part in its rotation: when the next key
// is due, the node proposes one by compare-and-swap. Of all nodes exactly one succeeds; there is no
// leader and no lock. The node also puts back keys that the store lost. Maintain never creates a
// ring: an operator does that with [Create].
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

// Create writes the first set of a domain to a store. It is for operators. If the store has a ring,
// Create returns [ErrConflict].
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
		return fmt.Errorf("%w: %w", errSealing, err)
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
	copying, err := c.copyTime(source)
	if err != nil {
		return nil, err
	}
	r.follower = newFollower(r, source, store, c)
	r.follower.strangers.copying = copying
	if err := r.follower.start(ctx); err != nil {
		return nil, err
	}
	r.done = make(chan struct{})
	ctx, r.stop = context.WithCancel(context.Background())
	go r.follower.run(ctx)
	return r, nil
}
