package waybillnats

import (
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
)

// Option configures [New].
type Option interface{ apply(*config) error }

type option func(*config) error

func (o option) apply(c *config) error { return o(c) }

// config is a Conn that is being made.
type config struct {
	*Conn
	provider metric.MeterProvider
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

// Logger sets the logger. The default is [slog.Default]. A Conn logs the first message to each
// subject whose waybill it does not send because of [OnlySubjects].
func Logger(logger *slog.Logger) Option {
	return option(func(c *config) error {
		c.logger = logger
		return nil
	})
}
