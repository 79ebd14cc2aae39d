package waybilljetstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// The headers of a dead letter, in addition to the headers of the message that it copies.
const (
	HeaderReason   = "Waybill-Reason"   // why the message was refused, as waybill.Reason returns it, or ReasonUndecided
	HeaderStored   = "Waybill-Stored"   // when the message was stored, in RFC 3339 with nanoseconds, UTC
	HeaderStream   = "Waybill-Stream"   // the stream that contained the message
	HeaderSequence = "Waybill-Sequence" // its sequence in that stream
	HeaderSubject  = "Waybill-Subject"  // the subject that it was published to

	// HeaderOriginal is the prefix of the names of the message's headers that begin with "Nats-".
	// Under their own names they would be instructions to the stream of the dead letters: to expect
	// a sequence, to delay, or to delete all other letters.
	HeaderOriginal = "Waybill-Original-"
)

// ReasonUndecided is the [HeaderReason] of a message that is not refused, but could neither be
// decided nor held: as many messages as [JetStream.Consume] allows were held already.
// [JetStream.Redrive] handles it when its key is known.
const ReasonUndecided = "undecided"

// copyDead publishes the copy of a refused message, with its token, and waits until it is stored.
// If an earlier copy was stored but the message could not be terminated, the message id makes this
// one a duplicate. The copy of a dead letter keeps its notes about the original.
func (s *JetStream) copyDead(ctx context.Context, msg jetstream.Msg, r *refusal) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	seq := strconv.FormatUint(meta.Sequence.Stream, 10)
	id := fmt.Sprintf("waybill.%s.%s.%s.%d", meta.Domain, meta.Stream, seq, meta.Timestamp.UnixNano())
	h := deadHeaders(msg.Headers(), r.letter)
	notes := map[string]string{jetstream.MsgIDHeader: id, HeaderReason: r.name()}
	if !r.letter {
		notes[HeaderStored] = meta.Timestamp.UTC().Format(time.RFC3339Nano)
		notes[HeaderStream] = meta.Stream
		notes[HeaderSequence] = seq
		notes[HeaderSubject] = msg.Subject()
	}
	for name, value := range notes {
		header.Set(h, name, value)
	}
	header.Untrace(h) // of a message whose trace context would start one
	_, err = s.js.PublishMsg(ctx, &nats.Msg{Subject: s.dead, Header: h, Data: msg.Data()})
	return err
}

// deadHeaders returns the headers of a message under the names that they have in its dead letter.
// letter means that the message is a dead letter itself.
func deadHeaders(from nats.Header, letter bool) nats.Header {
	h := make(nats.Header, len(from)+6)
	for name, values := range from {
		switch {
		case hasPrefix(name, "Nats-") && letter: // the letter's own, not the original's
		case hasPrefix(name, "Nats-"):
			h[HeaderOriginal+name] = values
		case hasPrefix(name, HeaderOriginal) && !letter: // not written by this package, so not to be trusted
		default:
			h[name] = values
		}
	}
	return h
}

func hasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
