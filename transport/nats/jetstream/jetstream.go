package waybilljetstream

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/sender"
)

// JetStream publishes and consumes durable messages with waybills. It is safe for concurrent use;
// the zero JetStream is not valid.
//
// All its consumers have the same rules. A process that needs other options for some of them, such
// as another subject for dead letters, makes another JetStream.
type JetStream struct {
	auth    *waybill.Authority
	js      jetstream.Publisher
	rec     *telemetry.Recorder
	logger  *slog.Logger
	rules   admission.Rules
	maxAge  time.Duration            // 0: any age
	expired map[string]time.Duration // how long before the stored time a token may have expired, by stream
	dead    string                   // the subject of dead letters; "": none
	lossy   bool                     // refused messages may be deleted
	workers int                      // handlers at once
	sender  sender.Sender

	kept     sync.Map     // streams that keep terminated messages, as struct{}
	warned   sync.Map     // refusals that are logged: [2]string{stream, reason}
	warnings atomic.Int64 // how many
}

// New returns a JetStream for services of the Authority's trust domain. It publishes messages and
// dead letters with js, which is usually a [jetstream.JetStream].
func New(auth *waybill.Authority, js jetstream.Publisher, opts ...Option) (*JetStream, error) {
	if auth == nil {
		return nil, errors.New("waybilljetstream: no Authority: pass the one that waybill.New returned")
	}
	if js == nil {
		return nil, errors.New("waybilljetstream: no JetStream: pass the one that jetstream.New returned")
	}
	cfg := config{JetStream: &JetStream{auth: auth, js: js, logger: slog.Default(), workers: 1}}
	for _, o := range opts {
		if err := o.apply(&cfg); err != nil {
			return nil, err
		}
	}
	s := cfg.JetStream
	if s.dead != "" && s.lossy {
		return nil, errors.New("waybilljetstream: DeadLetter keeps refused messages, so that AllowLoss does nothing; " +
			"leave one of them out")
	}
	s.rec = telemetry.New("jetstream", cfg.provider, s.logger)
	s.sender.Auth, s.sender.Rec = auth, s.rec
	if js, ok := js.(interface{ Conn() *nats.Conn }); ok {
		s.sender.NC = js.Conn()
	}
	if !cfg.untraced {
		s.sender.Spans = telemetry.NewSpans(cfg.tracers)
	}
	s.checkHeaders()
	return s, nil
}

// checkHeaders warns about a server that accepts no headers, if the connection is known and open.
// To publish a waybill to it is an error; a message without a waybill passes.
func (s *JetStream) checkHeaders() {
	js, ok := s.js.(interface{ Conn() *nats.Conn })
	if !ok {
		return
	}
	if nc := js.Conn(); nc != nil && nc.IsConnected() && !nc.HeadersSupported() {
		s.logger.Warn("waybill: the NATS server supports no headers, so messages with a waybill cannot be published; "+
			"enable headers in its configuration", slog.String("server", nc.ConnectedServerName()))
	}
}
