package waybilljetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// streams looks up streams. A [jetstream.JetStream] does.
type streams interface {
	Stream(ctx context.Context, name string) (jetstream.Stream, error)
}

// checkLoss returns an error if refused messages of a stream would be lost, though nobody accepted
// that, or if it cannot know. A stream with limits retention keeps messages that are terminated.
func (s *JetStream) checkLoss(ctx context.Context, name string) error {
	if s.dead != "" || s.lossy || s.rules.ReportOnly {
		return nil
	}
	if _, ok := s.kept.Load(name); ok {
		return nil
	}
	const advice = "set DeadLetter to keep a copy, or AllowLoss to accept the loss"
	js, ok := s.js.(streams)
	if !ok {
		return fmt.Errorf("waybilljetstream: the retention of stream %s is unknown, so a refused message may be deleted; "+
			"pass a jetstream.JetStream to New, %s", name, advice)
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("waybilljetstream: the retention of stream %s is unknown, so a refused message may be deleted; "+
			"%s: %w", name, advice, err)
	}
	if r := stream.CachedInfo().Config.Retention; r != jetstream.LimitsPolicy {
		return fmt.Errorf("waybilljetstream: stream %s has %s retention, so a refused message would be deleted; "+
			"%s", name, r, advice)
	}
	s.kept.Store(name, struct{}{})
	return nil
}

// checkMessage is checkLoss for the stream of a message.
func (s *JetStream) checkMessage(ctx context.Context, msg jetstream.Msg) error {
	if s.lossy {
		return nil
	}
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("waybilljetstream: %w", err)
	}
	return s.checkLoss(ctx, meta.Stream)
}
