package waybillgrpc

import (
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/credentials"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// ServerOption configures [NewServer].
type ServerOption interface{ applyServer(*Server) error }

// ClientOption configures [NewClient].
type ClientOption interface{ applyClient(*Client) error }

// Option configures both sides.
type Option interface {
	ServerOption
	ClientOption
}

type serverOption func(*Server) error

func (o serverOption) applyServer(s *Server) error { return o(s) }

type clientOption func(*Client) error

func (o clientOption) applyClient(c *Client) error { return o(c) }

type option func(*common) error

func (o option) applyServer(s *Server) error { return o(&s.common) }

func (o option) applyClient(c *Client) error { return o(&c.common) }

// common is what both sides have.
type common struct {
	auth     *waybill.Authority
	rec      *telemetry.Recorder
	skip     func(fullMethod string) bool
	provider metric.MeterProvider
	logger   *slog.Logger
}

func newCommon(auth *waybill.Authority) (common, error) {
	if auth == nil {
		return common{}, errors.New("waybillgrpc: no Authority: pass the one that waybill.New returned")
	}
	return common{auth: auth, skip: func(string) bool { return false }}, nil
}

// record makes the recorder, after the options were applied.
func (c *common) record() {
	if c.logger == nil {
		c.logger = slog.Default()
	}
	c.rec = telemetry.New("grpc", c.provider, c.logger)
}

// Required refuses calls without a waybill.
func Required() ServerOption {
	return rule(func(r *admission.Rules) error {
		r.Required = true
		return nil
	})
}

// RequireClaims refuses calls without a waybill, and calls whose waybill lacks one of these claims.
func RequireClaims(claims ...waybill.Declaration) ServerOption {
	return rule(func(r *admission.Rules) error { return r.Require(claims) })
}

// ReportOnly switches enforcement off: the server counts the calls that it would refuse, and refuses
// none. Handlers see no claims of an invalid waybill.
func ReportOnly() ServerOption {
	return rule(func(r *admission.Rules) error {
		r.ReportOnly = true
		return nil
	})
}

func rule(set func(*admission.Rules) error) ServerOption {
	return serverOption(func(s *Server) error {
		if err := set(&s.rules); err != nil {
			return fmt.Errorf("waybillgrpc: %w", err)
		}
		return nil
	})
}

// AllowPlaintext also sends waybills over connections without privacy and integrity. Use it where a mesh
// encrypts below gRPC, and for connections inside one process.
func AllowPlaintext() ClientOption {
	return clientOption(func(c *Client) error {
		c.plaintext = true
		return nil
	})
}

// OnlyPeers sends waybills only to TLS peers that approve accepts, judged by their certificate or SPIFFE
// ID, whatever name or address was dialled. The function is called for each attempt of a call,
// concurrently, and should not block. A connection without TLS gets no waybill, even with
// [AllowPlaintext].
//
// TLS has verified the peer before, as configured. If that configuration leaves verification to a
// callback, State.VerifiedChains is empty.
func OnlyPeers(approve func(peer credentials.TLSInfo) bool) ClientOption {
	return clientOption(func(c *Client) error {
		if approve == nil {
			return errors.New("waybillgrpc: OnlyPeers needs a function that approves peers")
		}
		c.peer = approve
		return nil
	})
}

// OnlyAccept accepts only changes of these claims from callees; without claims, no changes. By default
// all changes are accepted. See [waybill.OnlyClaims].
func OnlyAccept(claims ...waybill.Declaration) ClientOption {
	return clientOption(func(c *Client) error {
		var err error
		if c.accept, err = admission.Accept(claims); err != nil {
			return fmt.Errorf("waybillgrpc: %w", err)
		}
		return nil
	})
}

// Skip ignores the methods for which skip returns true, such as health checks and reflection. The
// argument has the form "/package.Service/Method". A server does not open their waybills; a client sends
// none. Tokens in the metadata are still removed.
func Skip(skip func(fullMethod string) bool) Option {
	return option(func(c *common) error {
		if skip == nil {
			return errors.New("waybillgrpc: Skip needs a function that chooses methods")
		}
		c.skip = skip
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

// Logger sets the logger. The default is [slog.Default]. A client logs the first call to each target
// whose waybill it does not send.
func Logger(logger *slog.Logger) Option {
	return option(func(c *common) error {
		c.logger = logger
		return nil
	})
}
