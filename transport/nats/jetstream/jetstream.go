package waybilljetstream

import (
	"errors"
	"log/slog"
	"time"

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
	sender  sender.Sender
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
	cfg := config{JetStream: &JetStream{auth: auth, js: js, logger: slog.Default()}}
	for _, o := range opts {
		if err := o.apply(&cfg); err != nil {
			return nil, err
		}
	}
	s := cfg.JetStream
	s.rec = telemetry.New("jetstream", cfg.provider, s.logger)
	s.sender.Auth, s.sender.Rec = auth, s.rec
	return s, nil
}
