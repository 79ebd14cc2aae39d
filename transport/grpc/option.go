package waybillgrpc

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/credentials"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/policy"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// Option configures interceptors. One list serves both sides; each option says which side reads it.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	auth      *waybill.Authority
	rec       *telemetry.Recorder
	policy    policy.Policy
	skip      func(fullMethod string) bool
	plaintext bool
	peer      func(credentials.TLSInfo) bool
	accept    []waybill.ReturnOption

	provider metric.MeterProvider
	logger   *slog.Logger
}

func newConfig(auth *waybill.Authority, opts []Option) *config {
	if auth == nil {
		panic("waybillgrpc: nil Authority")
	}
	c := &config{auth: auth, skip: func(string) bool { return false }}
	for _, o := range opts {
		o.apply(c)
	}
	c.rec = telemetry.New("grpc", c.provider, c.logger)
	return c
}

// Required refuses calls without a waybill. Server.
func Required() Option { return option(func(c *config) { c.policy.Required = true }) }

// Observe counts what would be refused, and refuses nothing. Handlers see no claims of an invalid waybill. Server.
func Observe() Option { return option(func(c *config) { c.policy.Observe = true }) }

// RequireClaims refuses calls whose waybill lacks one of these claims, or that have no waybill. Server.
func RequireClaims(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.policy.Require(claims) })
}

// Skip leaves alone the methods for which it returns true, given as "/package.Service/Method": such as health checks and
// reflection. The server does not open their waybills, the client sends none. What the wire brings or the caller has set
// by hand is still taken out. Server and client.
func Skip(skip func(fullMethod string) bool) Option { return option(func(c *config) { c.skip = skip }) }

// AllowPlaintext sends waybills over connections without privacy and integrity too: where a mesh encrypts below gRPC, and
// for connections inside one process. Client.
func AllowPlaintext() Option { return option(func(c *config) { c.plaintext = true }) }

// AllowPeer sends waybills only to TLS peers that allow approves of: by their certificate or SPIFFE ID, whatever name or
// address led there. It is asked for each attempt of a call, concurrently, and should not block. A connection without TLS
// gets none, [AllowPlaintext] or not.
//
// TLS has verified the peer before, as its configuration says: if that leaves the work to a callback, State.VerifiedChains
// is empty. A nil function panics. Client.
func AllowPeer(allow func(peer credentials.TLSInfo) bool) Option {
	if allow == nil {
		panic("waybillgrpc: AllowPeer without a function")
	}
	return option(func(c *config) { c.peer = allow })
}

// AcceptBack names the only claims whose changes are taken from callees; all by default. See [waybill.AcceptBack]. Client.
func AcceptBack(claims ...waybill.Declaration) Option {
	return option(func(c *config) { c.accept = []waybill.ReturnOption{waybill.AcceptBack(claims...)} })
}

// MeterProvider sets where metrics go; the global provider by default. Server and client.
func MeterProvider(provider metric.MeterProvider) Option {
	return option(func(c *config) { c.provider = provider })
}

// Logger sets the logger; [slog.Default] by default. The first call to each target whose waybill is held back is logged.
// Client.
func Logger(logger *slog.Logger) Option { return option(func(c *config) { c.logger = logger }) }
