package waybilljetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/transport/nats/internal/subject"
)

// Option configures [New].
type Option interface{ apply(*config) error }

type option func(*config) error

func (o option) apply(c *config) error { return o(c) }

// config is a JetStream that is being made.
type config struct {
	*JetStream
	provider metric.MeterProvider
	tracers  trace.TracerProvider
	untraced bool
}

// Required refuses messages without a waybill. By default only messages with an invalid waybill are
// refused.
func Required() Option {
	return rule(func(r *admission.Rules) { r.Required = true })
}

// RequireClaims refuses messages without a waybill, and messages whose waybill lacks one of these
// claims.
func RequireClaims(claims ...waybill.Declaration) Option {
	return option(func(c *config) error {
		if err := c.rules.Require(claims); err != nil {
			return fmt.Errorf("waybilljetstream: %w", err)
		}
		return nil
	})
}

// ReportOnly switches enforcement off: messages that would be refused or held are counted, and
// reach the handler. It sees no claims of an invalid waybill.
func ReportOnly() Option {
	return rule(func(r *admission.Rules) { r.ReportOnly = true })
}

func rule(set func(*admission.Rules)) Option {
	return option(func(c *config) error {
		set(&c.rules)
		return nil
	})
}

// OnlySubjects publishes waybills only to subjects that match one of the patterns, with the
// wildcards of NATS: "*" matches one token, and ">" at the end one or more. A message to another
// subject is published without its waybill, counted as suppressed, and logged the first time. By
// default all subjects get waybills. Dead letters always contain the token of the message that they
// copy.
func OnlySubjects(patterns ...string) Option {
	return option(func(c *config) error {
		if len(patterns) == 0 {
			return errors.New("waybilljetstream: OnlySubjects has no subjects; name them, " +
				"or publish with jetstream.JetStream if no waybill is to be sent")
		}
		if err := c.sender.Only.Add(patterns); err != nil {
			return fmt.Errorf("waybilljetstream: OnlySubjects: %w", err)
		}
		return nil
	})
}

// DeadLetter publishes a copy of each refused message to the subject, which must belong to another
// stream, before the message is terminated. If the stream does not acknowledge the copy, the
// message is not terminated but delivered again. [HeaderReason] and the names next to it describe
// the copy's headers.
func DeadLetter(to string) Option {
	return option(func(c *config) error {
		if !subject.Literal(to) {
			return fmt.Errorf("waybilljetstream: DeadLetter: %q is not a subject without wildcards; "+
				"name one that belongs to a stream for dead letters", to)
		}
		c.dead = to
		return nil
	})
}

// AllowLoss lets refused messages be deleted: those of streams with work-queue retention, and those
// of streams with interest retention that no other consumer needs. By default [JetStream.Consume]
// accepts such a stream only with [DeadLetter], which keeps a copy.
func AllowLoss() Option {
	return option(func(c *config) error {
		c.lossy = true
		return nil
	})
}

// Workers lets each consumer run n handlers at once. The default is 1, which keeps the order of
// the messages.
func Workers(n int) Option {
	return option(func(c *config) error {
		if n < 1 {
			return fmt.Errorf("waybilljetstream: Workers is %d; it must be greater than zero", n)
		}
		c.workers = n
		return nil
	})
}

// AcceptExpired accepts waybills that expired up to d before their message was stored. It is for
// streams in which the server itself stores messages: those with sources, and those with schedules.
// Nothing reports when such a message was published, so without this option its waybill must still
// be valid when the server copies it from the source, or when its schedule fires. Messages that
// were published to the stream itself must be valid when they are stored, as always.
//
// AcceptExpired weakens protection: for anyone who may publish to the source, or a schedule, a
// stolen token lives longer by up to d. Servers that let clients write the headers
// Nats-Stream-Source and Nats-Scheduler give that to anyone who may publish to the stream.
func AcceptExpired(d time.Duration, streams ...string) Option {
	return option(func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("waybilljetstream: AcceptExpired: the duration is %v; it must be greater than zero", d)
		}
		if len(streams) == 0 || slices.Contains(streams, "") {
			return errors.New("waybilljetstream: AcceptExpired has no stream, or one without a name; " +
				"name the streams with sources or schedules")
		}
		if c.expired == nil {
			c.expired = make(map[string]time.Duration)
		}
		for _, name := range streams {
			c.expired[name] = d
		}
		return nil
	})
}

// MaxAge refuses, as expired, waybills of messages that were stored longer than d ago. Set it to
// the MaxAge of the stream, so that an impossible stored time is not believed. By default any age
// is accepted.
func MaxAge(d time.Duration) Option {
	return option(func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("waybilljetstream: MaxAge is %v; it must be greater than zero, "+
				"or leave it out to accept any age", d)
		}
		c.maxAge = d
		return nil
	})
}

// MeterProvider sets the provider of metrics. The default is the global provider.
func MeterProvider(provider metric.MeterProvider) Option {
	return option(func(c *config) error {
		c.provider = provider
		return nil
	})
}

// TracerProvider sets the provider of spans. The default is the global provider.
func TracerProvider(provider trace.TracerProvider) Option {
	return option(func(c *config) error {
		c.tracers = provider
		return nil
	})
}

// WithoutTraces switches tracing off: a JetStream starts no spans, and reads and writes no trace
// context and no baggage.
func WithoutTraces() Option {
	return option(func(c *config) error {
		c.untraced = true
		return nil
	})
}

// Logger sets the logger. The default is [slog.Default]. A JetStream logs messages that it could
// not settle; the first refusal of each reason, per stream; that there are more undecided
// messages than it may hold, at most once a minute; errors of consuming; and the first message to
// each subject whose waybill it does not publish because of [OnlySubjects].
func Logger(logger *slog.Logger) Option {
	return option(func(c *config) error {
		if logger != nil {
			c.logger = logger
		}
		return nil
	})
}
