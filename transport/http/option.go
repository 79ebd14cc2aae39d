package waybillhttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// EdgeOption configures [NewEdge].
type EdgeOption interface{ applyEdge(*Edge) error }

// ServerOption configures [NewServer] and [NewEdge].
type ServerOption interface {
	EdgeOption
	applyServer(*Server) error
}

// ClientOption configures [NewTransport].
type ClientOption interface{ applyClient(*Transport) error }

// Option configures all three: [NewServer], [NewEdge] and [NewTransport].
type Option interface {
	ServerOption
	ClientOption
}

type edgeOption func(*Edge) error

func (o edgeOption) applyEdge(e *Edge) error { return o(e) }

type serverOption func(*middleware) error

func (o serverOption) applyEdge(e *Edge) error { return o(&e.middleware) }

func (o serverOption) applyServer(s *Server) error { return o(&s.middleware) }

type clientOption func(*Transport) error

func (o clientOption) applyClient(t *Transport) error { return o(t) }

type option func(*common) error

func (o option) applyEdge(e *Edge) error { return o(&e.common) }

func (o option) applyServer(s *Server) error { return o(&s.common) }

func (o option) applyClient(t *Transport) error { return o(&t.common) }

// common is what all three have.
type common struct {
	auth     *waybill.Authority
	rec      *telemetry.Recorder
	provider metric.MeterProvider
	logger   *slog.Logger
}

func newCommon(auth *waybill.Authority) (common, error) {
	if auth == nil {
		return common{}, errors.New("waybillhttp: no Authority: pass the one that waybill.New returned")
	}
	return common{auth: auth, logger: slog.Default()}, nil
}

// record makes the recorder, after the options were applied.
func (c *common) record() { c.rec = telemetry.New("http", c.provider, c.logger) }

// Required refuses requests without a waybill. An edge with [StartWith] still begins a journey for a
// client without tokens, and refuses tokens that cannot be used.
func Required() ServerOption {
	return rule(func(r *admission.Rules) error {
		r.Required = true
		return nil
	})
}

// RequireClaims refuses requests without a waybill, and requests whose waybill lacks one of these
// claims.
func RequireClaims(claims ...waybill.Declaration) ServerOption {
	return rule(func(r *admission.Rules) error { return r.Require(claims) })
}

// ReportOnly switches enforcement off: the server counts the requests that it would refuse, and
// refuses none. Handlers see no claims of an invalid waybill.
func ReportOnly() ServerOption {
	return rule(func(r *admission.Rules) error {
		r.ReportOnly = true
		return nil
	})
}

func rule(set func(*admission.Rules) error) ServerOption {
	return serverOption(func(m *middleware) error {
		if err := set(&m.rules); err != nil {
			return fmt.Errorf("waybillhttp: %w", err)
		}
		return nil
	})
}

// Skip ignores the requests for which skip returns true, such as health checks. Their waybill is
// not opened, no rule is applied, and the response is not touched. A token in the request is still
// removed.
func Skip(skip func(*http.Request) bool) ServerOption {
	return serverOption(func(m *middleware) error {
		if skip == nil {
			return errors.New("waybillhttp: Skip needs a function that chooses requests")
		}
		m.skip = skip
		return nil
	})
}

// HeaderBudget sets how many bytes the headers of a response may have together with the returned
// token. The default is 4096, which is what nginx and other proxies accept with their default
// settings. A token that does not fit is returned in the trailer if the client accepts that, and
// otherwise left out, logged and counted as "too_large". The trailer has the same budget, and at
// most 4096 bytes over HTTP/1.1, where Go's client accepts no more.
func HeaderBudget(bytes int) ServerOption {
	return serverOption(func(m *middleware) error {
		if bytes <= 0 {
			return fmt.Errorf("waybillhttp: HeaderBudget(%d): the budget must be greater than zero", bytes)
		}
		m.budget = bytes
		return nil
	})
}

// AllowHosts allows waybills to be sent to these hosts. By default no host gets one.
//
// A pattern is a host name, a wildcard or an IP address. In the wildcard "*.shop.internal", the
// star matches exactly one label: eu.shop.internal is allowed, shop.internal and a.eu.shop.internal
// are not. With ":port" a pattern allows one port, without it every port. An IPv6 address with a
// port is written in brackets. Names are compared in lower case and in their ASCII form.
//
// If the Host of a request differs from the host of its URL, both must be allowed, and so must the
// host in an Opaque URL: servers and proxies see these names.
func AllowHosts(patterns ...string) ClientOption {
	return clientOption(func(t *Transport) error {
		for _, p := range patterns {
			if err := t.hosts.allow(p); err != nil {
				return fmt.Errorf("waybillhttp: AllowHosts(%q): %w; a pattern is host, *.host or an IP address, "+
					"with :port to allow only that port", p, err)
			}
		}
		return nil
	})
}

// AllowPlaintext also sends waybills over plain http. Use it where a mesh encrypts, and in tests.
//
// Everyone on the way can then read the token. That includes an HTTP proxy, such as the one of
// HTTP_PROXY or of Proxy in [http.Transport]. An https request passes a proxy in a tunnel, which
// hides the token.
func AllowPlaintext() ClientOption {
	return clientOption(func(t *Transport) error {
		t.plaintext = true
		return nil
	})
}

// OnlyAccept accepts only changes of these claims from callees; without claims, no changes. By default
// all changes are accepted. See [waybill.OnlyClaims].
func OnlyAccept(claims ...waybill.Declaration) ClientOption {
	return clientOption(func(t *Transport) error {
		var err error
		if t.accept, err = admission.Accept(claims); err != nil {
			return fmt.Errorf("waybillhttp: %w", err)
		}
		return nil
	})
}

// MeterProvider sets the provider of metrics. The default is the global provider.
func MeterProvider(provider metric.MeterProvider) Option {
	return option(func(c *common) error {
		c.provider = provider
		return nil
	})
}

// Logger sets the logger. The default is [slog.Default]. A Transport logs the first request to each
// host whose waybill it does not send. An Edge logs why it could not begin or renew a journey. The
// cause of a refusal is logged at debug level.
func Logger(logger *slog.Logger) Option {
	return option(func(c *common) error {
		if logger != nil {
			c.logger = logger
		}
		return nil
	})
}
