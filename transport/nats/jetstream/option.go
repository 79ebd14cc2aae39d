package waybilljetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/policy"
	"github.com/waybill-go/waybill/internal/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/record"
)

// Option configures [Consume], [Open] and [Settle]. Consume reads all options; each says whether Open or Settle reads
// it.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	policy   policy.Policy
	maxAge   time.Duration
	dead     *deadLetters
	letters  []string                 // streams whose messages are dead letters
	grace    map[string]time.Duration // of streams
	provider metric.MeterProvider
	logger   *slog.Logger
}

// Required refuses a message without a waybill. By default only an invalid one is refused. Open reads it.
func Required() Option { return option(func(c *config) { c.policy.Required = true }) }

// Observe counts what would be refused or held, and gives every message to the handler. A refused waybill still has no
// claims. Open reads it.
func Observe() Option { return option(func(c *config) { c.policy.Observe = true }) }

// RequireClaims refuses a message whose waybill lacks one of the claims, and one without a waybill. Open reads it.
func RequireClaims(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.policy.Require(claims) })
}

// DeadLetter publishes a copy of a message that is refused to subject, which must be bound to another stream, before
// the message is terminated. If the copy is not acknowledged, the message is not terminated but delivered again. See
// [HeaderReason] for what is in the copy. Settle reads it.
func DeadLetter(js jetstream.Publisher, subject string) Option {
	return option(func(c *config) { c.dead = &deadLetters{js: js, subject: subject} })
}

// Redrive names streams of dead letters, whose messages are judged as of the time at which the original was stored, as
// [HeaderStored] says. To try dead letters again, consume them from there; one that is published to its first stream
// again is judged as any new message, and so is one in these streams that lacks the header. The header is believed: let
// nobody publish to these streams but what refuses with [DeadLetter]. A letter that is refused again keeps what its
// headers note of the original. Open and Settle read it.
func Redrive(streams ...string) Option {
	return option(func(c *config) { c.letters = append(c.letters, streams...) })
}

// Grace is for streams in which the server itself stores messages: those of a source, and those of schedules. Nothing
// tells when these were published, so their waybill is good if it was valid at any time from d before the message was
// stored. Without it, the waybill must still be valid when the message is sourced, or when its schedule fires.
//
// Messages that were published to the stream itself have no grace. For whoever may publish a schedule, or to the source,
// a stolen token lives longer by up to d; and older servers let a client write the headers that tell. Open reads it.
func Grace(d time.Duration, streams ...string) Option {
	return option(func(c *config) {
		if c.grace == nil {
			c.grace = make(map[string]time.Duration)
		}
		for _, name := range streams {
			c.grace[name] = d
		}
	})
}

// MaxAge refuses a waybill whose message was stored longer ago than d, as expired. Set it to the MaxAge of the stream,
// so that a stored time that cannot be true is not believed. Open reads it.
func MaxAge(d time.Duration) Option { return option(func(c *config) { c.maxAge = d }) }

// MeterProvider sets where waybills are counted; the global provider by default. Open reads it.
func MeterProvider(p metric.MeterProvider) Option {
	return option(func(c *config) { c.provider = p })
}

// Logger sets where Consume reports messages that it could not settle; slog.Default by default.
func Logger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

func newConfig(opts []Option) (*config, error) {
	c := config{logger: slog.Default()}
	for _, o := range opts {
		o.apply(&c)
	}
	if c.maxAge < 0 {
		return nil, fmt.Errorf("waybilljetstream: MaxAge(%v) is negative", c.maxAge)
	}
	for name, d := range c.grace {
		if d < 0 {
			return nil, fmt.Errorf("waybilljetstream: Grace(%v) of stream %s is negative", d, name)
		}
	}
	if c.dead != nil && (c.dead.js == nil || c.dead.subject == "") {
		return nil, errors.New("waybilljetstream: DeadLetter needs a publisher and a subject")
	}
	return &c, nil
}

// recorder returns where to count.
func (c *config) recorder() *telemetry.Recorder { return record.For(transport, c.provider, c.logger) }

const transport = "jetstream"
