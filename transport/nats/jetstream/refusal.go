package waybilljetstream

import (
	"context"
	"errors"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
)

// refusal is the reason why a message was not opened. It tells [JetStream.Settle] that the error is
// not the handler's: a handler may fail with the same error, from a call that it made.
type refusal struct {
	reason    error
	held      bool // the outcome may change: neither Nak nor Term
	letter    bool // the message is a dead letter, with notes about its original
	doubted   bool // held only because the ring may be the wrong one
	crowded   bool // held messages leave no room for it
	undecided bool // it becomes a dead letter without having been decided
}

func (r *refusal) Error() string { return "waybilljetstream: message refused: " + r.reason.Error() }

func (r *refusal) Unwrap() error { return r.reason }

// name is the stable name of the reason.
func (r *refusal) name() string {
	if r.undecided {
		return ReasonUndecided
	}
	return waybill.Reason(r.reason)
}

// text is sent to the server: no token, no claims, no cause.
func (r *refusal) text() string { return "waybill: " + r.name() }

// maxWarnings bounds the refusals that are remembered as logged.
const maxWarnings = 256

// warn logs the first refusal of each reason, per stream.
func (s *JetStream) warn(msg jetstream.Msg, err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return
	}
	meta, merr := msg.Metadata()
	if merr != nil {
		return
	}
	key := [2]string{meta.Stream, r.name()}
	if _, seen := s.warned.Load(key); seen || s.warnings.Load() >= maxWarnings {
		return
	}
	if _, seen := s.warned.LoadOrStore(key, nil); seen {
		return
	}
	s.warnings.Add(1)
	attrs := append(place(msg), slog.String("reason", r.name()))
	if kid := kidOf(msg.Headers()); kid != "" {
		attrs = append(attrs, slog.String("kid", kid))
	}
	s.logger.LogAttrs(context.Background(), slog.LevelWarn,
		"waybill: message refused; further ones with this reason are only counted", attrs...)
}
