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
	if c.dead != nil && (c.dead.js == nil || c.dead.subject == "") {
		return nil, errors.New("waybilljetstream: DeadLetter needs a publisher and a subject")
	}
	return &c, nil
}

// recorder returns where to count.
func (c *config) recorder() *telemetry.Recorder { return record.For(transport, c.provider, c.logger) }

const transport = "jetstream"
