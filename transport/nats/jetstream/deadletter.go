package waybilljetstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// The headers that a dead letter has beside those of the message that it copies.
const (
	HeaderReason   = "Waybill-Reason"   // why it was refused, as waybill.Reason gives it
	HeaderStored   = "Waybill-Stored"   // when the message was stored, in RFC 3339 with nanoseconds, UTC
	HeaderStream   = "Waybill-Stream"   // the stream that it was in
	HeaderSequence = "Waybill-Sequence" // its sequence in that stream
	HeaderSubject  = "Waybill-Subject"  // the subject that it was published to

	// HeaderOriginal begins the names of the message's headers that begin with "Nats-". Under their own names they
	// would be instructions to the stream of the dead letters: to expect a sequence, to delay, or to delete all other
	// letters.
	HeaderOriginal = "Waybill-Original-"
)

// deadLetters is where copies of refused messages go.
type deadLetters struct {
	js      jetstream.Publisher
	subject string
}

// keep publishes the copy of a refused message, its token included, and waits until it is stored. A copy that was made
// before, and whose original could not be terminated then, is recognised as a duplicate by its message id. One of a dead
// letter keeps what that notes of the original.
func (c *config) keep(ctx context.Context, msg jetstream.Msg, r *refusal) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	_, again := c.noted(msg, meta)
	seq := strconv.FormatUint(meta.Sequence.Stream, 10)
	id := fmt.Sprintf("waybill.%s.%s.%s.%d", meta.Domain, meta.Stream, seq, meta.Timestamp.UnixNano())
	h := original(msg.Headers(), again)
	notes := map[string]string{jetstream.MsgIDHeader: id, HeaderReason: waybill.Reason(r.reason)}
	if !again {
		notes[HeaderStored] = meta.Timestamp.UTC().Format(time.RFC3339Nano)
		notes[HeaderStream] = meta.Stream
		notes[HeaderSequence] = seq
		notes[HeaderSubject] = msg.Subject()
	}
	for name, value := range notes {
		header.Set(h, name, value)
	}
	_, err = c.dead.js.PublishMsg(ctx, &nats.Msg{Subject: c.dead.subject, Header: h, Data: msg.Data()})
	return err
}

// original returns the headers of a message as its dead letter has them; again, if the message is one itself.
func original(from nats.Header, again bool) nats.Header {
	h := make(nats.Header, len(from)+6)
	for name, values := range from {
		switch {
		case hasPrefix(name, "Nats-") && again: // the letter's own, not the original's
		case hasPrefix(name, "Nats-"):
			h[HeaderOriginal+name] = values
		case hasPrefix(name, HeaderOriginal) && !again: // not ours, and not to be taken for it
		default:
			h[name] = values
		}
	}
	return h
}

func hasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
