package waybillnats

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/policy"
	"github.com/waybill-go/waybill/internal/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/record"
)

// Option configures handlers ([Handler], [MicroHandler]) and senders ([Publish], [Request], [RequestMany]). Each option
// says who reads it; the others ignore it.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	policy     policy.Policy
	returns    []waybill.ReturnOption
	restricted bool
	subjects   []string
	maxReplies int
	stall      time.Duration
	provider   metric.MeterProvider
	logger     *slog.Logger
}

// Required makes handlers refuse a message without a waybill. By default only an invalid one is refused.
func Required() Option { return option(func(c *config) { c.policy.Required = true }) }

// Observe makes handlers count what they would refuse, and refuse nothing. A refused waybill still has no claims.
func Observe() Option { return option(func(c *config) { c.policy.Observe = true }) }

// RequireClaims makes handlers refuse a message whose waybill lacks one of the claims, and one without a waybill.
func RequireClaims(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.policy.Require(claims) })
}

// AcceptBack names the only claims whose changes [Request] and [RequestMany] take from a reply.
func AcceptBack(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.returns = []waybill.ReturnOption{waybill.AcceptBack(claims...)} })
}

// AllowSubjects names the only subjects to which senders give the waybill, with the wildcards of NATS: "*" stands for
// one token, a ">" at the end for one or more. A message to any other subject is sent without it, counted as
// suppressed, and logged the first time. Without this option every subject is approved; with an empty list none is.
func AllowSubjects(patterns ...string) Option {
	return option(func(c *config) {
		c.restricted = true
		c.subjects = append(c.subjects, patterns...)
	})
}

// MaxReplies makes [RequestMany] complete with n replies, and the deadline of its context an error before. 0 is no limit.
func MaxReplies(n int) Option { return option(func(c *config) { c.maxReplies = n }) }

// Stall makes [RequestMany] complete when no further reply came for d. The first may take as long as the context allows.
// 0 is no limit.
func Stall(d time.Duration) Option { return option(func(c *config) { c.stall = d }) }

// MeterProvider sets where handlers and senders count; the global provider by default.
func MeterProvider(p metric.MeterProvider) Option {
	return option(func(c *config) { c.provider = p })
}

// Logger sets where senders report suppressed waybills; slog.Default by default.
func Logger(l *slog.Logger) Option { return option(func(c *config) { c.logger = l }) }

func newConfig(opts []Option) *config {
	var c config
	for _, o := range opts {
		o.apply(&c)
	}
	return &c
}

// check reports what senders cannot work with. Of the options that handlers read, none can be wrong.
func (c *config) check() error {
	for _, p := range c.subjects {
		if !validPattern(p) {
			return fmt.Errorf("waybillnats: AllowSubjects: %q is not a subject, nor a pattern of one", p)
		}
	}
	if c.maxReplies < 0 || c.stall < 0 {
		return fmt.Errorf("waybillnats: MaxReplies(%d), Stall(%v): neither can be negative", c.maxReplies, c.stall)
	}
	return nil
}

// recorder returns where to count.
func (c *config) recorder() *telemetry.Recorder { return record.For("nats", c.provider, c.logger) }

// allows reports whether the waybill may go to subject.
func (c *config) allows(subject string) bool {
	return !c.restricted || slices.ContainsFunc(c.subjects, func(p string) bool { return matches(p, subject) })
}
