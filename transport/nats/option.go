package waybillnats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// Option configures [New].
type Option interface{ apply(*config) error }

type option func(*config) error

func (o option) apply(c *config) error { return o(c) }

// config is a Conn that is being made.
type config struct {
	*Conn
	provider metric.MeterProvider
	tracers  trace.TracerProvider
	untraced bool
	logger   *slog.Logger
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
			return fmt.Errorf("waybillnats: %w", err)
		}
		return nil
	})
}

// ReportOnly switches enforcement off: handlers count the messages that they would refuse, and
// refuse none. They see no claims of an invalid waybill.
func ReportOnly() Option {
	return rule(func(r *admission.Rules) { r.ReportOnly = true })
}

func rule(set func(*admission.Rules)) Option {
	return option(func(c *config) error {
		set(&c.rules)
		return nil
	})
}

// OnlySubjects sends waybills only to subjects that match one of the patterns, with the wildcards
// of NATS: "*" matches one token, and ">" at the end one or more. A message to another subject is
// sent without its waybill, counted as suppressed, and logged the first time. By default all
// subjects get waybills.
func OnlySubjects(patterns ...string) Option {
	return option(func(c *config) error {
		if len(patterns) == 0 {
			return errors.New("waybillnats: OnlySubjects has no subjects; name them, " +
				"or send with the methods of nats.Conn if no waybill is to be sent")
		}
		if err := c.sender.Only.Add(patterns); err != nil {
			return fmt.Errorf("waybillnats: OnlySubjects: %w", err)
		}
		return nil
	})
}

// OnlyReplies returns changes only to reply subjects that match one of the patterns, which are
// written as for [OnlySubjects]. An answer to another subject is sent without the returned token,
// counted as suppressed, and logged the first time.
//
// By default changes are returned to inboxes only, because a request may name any subject for its
// replies, including one that others subscribe to or that a stream stores. A reply subject counts
// as an inbox if it begins with "_INBOX", with the connection's own prefix
// ([nats.CustomInboxPrefix]), or with "_R_.", which servers use in place of inboxes of other
// accounts. It also counts as one if its last token or the one before is a NUID, as in the inboxes
// that NATS clients make under other prefixes.
func OnlyReplies(patterns ...string) Option {
	return option(func(c *config) error {
		if len(patterns) == 0 {
			return errors.New("waybillnats: OnlyReplies has no subjects; name them, " +
				"or leave it out to return changes to inboxes")
		}
		if err := c.only.Add(patterns); err != nil {
			return fmt.Errorf("waybillnats: OnlyReplies: %w", err)
		}
		return nil
	})
}

// BaseContext sets the context from which the contexts of handlers are made: they have its values
// and end with it. A waybill or a span in ctx is hidden from them, because it belongs to other work.
// The default is [context.Background].
func BaseContext(ctx context.Context) Option {
	return option(func(c *config) error {
		if ctx == nil {
			return errors.New("waybillnats: BaseContext has no context; pass one, or leave it out")
		}
		c.base = telemetry.WithoutSpan(waybill.Without(ctx))
		return nil
	})
}

// OnlyAccept accepts only changes of these claims from replies; without claims, no changes. By
// default all changes are accepted. See [waybill.OnlyClaims].
func OnlyAccept(claims ...waybill.Declaration) Option {
	return option(func(c *config) error {
		var err error
		if c.accept, err = admission.Accept(claims); err != nil {
			return fmt.Errorf("waybillnats: %w", err)
		}
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

// WithoutTraces switches tracing off: a Conn starts no spans, and reads and writes no trace context
// and no baggage. Use it where other instrumentation does, or where receivers of messages must not
// get them.
func WithoutTraces() Option {
	return option(func(c *config) error {
		c.untraced = true
		return nil
	})
}

// Logger sets the logger. The default is [slog.Default]. A Conn logs the first message to each
// subject whose waybill it does not send because of [OnlySubjects], the first to which it does not
// return changes because of [OnlyReplies], and the first whose waybill does not fit.
func Logger(logger *slog.Logger) Option {
	return option(func(c *config) error {
		c.logger = logger
		return nil
	})
}
