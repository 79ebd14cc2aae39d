package waybilljetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/transport/nats/internal/subject"
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

// loopCheck is how long to wait for what is only a check of the configuration.
const loopCheck = 2 * time.Second

// checkLoop returns an error if the dead letters of a stream of dead letters would be stored in
// that stream, and so come back for ever. It is nil if the server does not tell.
func (s *JetStream) checkLoop(ctx context.Context, name string, letters bool) error {
	js, ok := s.js.(streams)
	if !letters || s.dead == "" || !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, loopCheck)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil
	}
	var own subject.Filter
	if err := own.Add(stream.CachedInfo().Config.Subjects); err == nil && own.Approves(s.dead) {
		return fmt.Errorf("waybilljetstream: DeadLetter %q is a subject of stream %s itself, so a letter that is refused "+
			"again would come back for ever; redrive with a JetStream without DeadLetter, or with another stream's subject",
			s.dead, name)
	}
	return nil
}
