package waybillhttp

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/policy"
)

// Option configures [Middleware] and [NewTransport]. Each says which of the two reads it; the other ignores it.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	policy policy.Policy
	skip   func(*http.Request) bool
	edge   bool
	start  func(*http.Request) ([]waybill.Change, error)

	hosts     hosts
	plaintext bool
	accept    []waybill.ReturnOption

	provider metric.MeterProvider
	logger   *slog.Logger
}

func newConfig(opts []Option) config {
	var c config
	for _, o := range opts {
		o.apply(&c)
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	return c
}

// Required refuses requests without a waybill. Read by [Middleware].
func Required() Option { return option(func(c *config) { c.policy.Required = true }) }

// Observe counts what would be refused, and refuses nothing. Handlers see no claims of an invalid waybill. Read by
// [Middleware].
func Observe() Option { return option(func(c *config) { c.policy.Observe = true }) }

// RequireClaims refuses requests whose waybill lacks one of these claims, or that have no waybill. Read by [Middleware].
func RequireClaims(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.policy.Require(claims) })
}

// Skip leaves alone the requests for which it returns true, such as health checks: their waybill is not opened and not
// judged, and the response is not touched. What only the wire may bring is still taken out of the request. Read by
// [Middleware].
func Skip(skip func(*http.Request) bool) Option { return option(func(c *config) { c.skip = skip }) }

// Edge makes this the service that clients talk to. A request without a waybill, or with one that has expired or whose key
// is not in the ring, begins a journey with the claims that start returns; with a nil start, a journey without claims. The
// new waybill is in the handler's context and goes back with the response. A valid waybill is renewed when less than half
// of its life is left, within the absolute end of its journey. Anything else is refused as everywhere, a forged token above
// all.
//
// An error of start refuses the request: with 503, unless it is one of this module's refusals; [waybill.ErrNoWaybill], for
// instance, answers 401 where no journey may begin. The cause is logged and not sent. Read by [Middleware].
func Edge(start func(*http.Request) ([]waybill.Change, error)) Option {
	return option(func(c *config) { c.edge, c.start = true, start })
}

// AllowHosts names the hosts that may get waybills; without it, none does. A pattern is a host name, or "*." and a host
// name, where the star stands for exactly one label: "*.shop.internal" allows eu.shop.internal, but neither shop.internal
// nor a.eu.shop.internal. With ":port" it allows that port, without, any port. An IP address is allowed by the same
// address only, in brackets if it is of version 6 and has a port. Names are compared in lower case and in their ASCII form.
//
// [NewTransport] panics if a pattern is none of these. Read by [NewTransport].
func AllowHosts(patterns ...string) Option {
	return option(func(c *config) {
		for _, p := range patterns {
			c.hosts.allow(p)
		}
	})
}

// AllowPlaintext sends waybills over plain http too: where a mesh encrypts, and in tests. Read by [NewTransport].
func AllowPlaintext() Option { return option(func(c *config) { c.plaintext = true }) }

// AcceptBack names the only claims whose changes are taken from answers; all by default. See [waybill.AcceptBack]. Read by
// [NewTransport].
func AcceptBack(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.accept = []waybill.ReturnOption{waybill.AcceptBack(claims...)} })
}

// MeterProvider sets where metrics go; the global provider by default. Read by both.
func MeterProvider(provider metric.MeterProvider) Option {
	return option(func(c *config) { c.provider = provider })
}

// Logger sets the logger; [slog.Default] by default. The first call to each host that gets no waybill is logged, and why
// an edge could not begin or renew a journey; the causes of refusals are logged at debug level. Read by both.
func Logger(logger *slog.Logger) Option { return option(func(c *config) { c.logger = logger }) }
