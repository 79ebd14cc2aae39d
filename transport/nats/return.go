package waybillnats

import (
	"cmp"
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// hop is a hop that may send several answers, each with the token to return at that time. It is
// safe for concurrent use.
type hop struct {
	*Conn
	waybill.Hop
	ctx   context.Context
	span  telemetry.Span
	reply string // the subject of answers, or ""

	mu     sync.Mutex
	unsent []string       // tokens whose answer could not be sent; the next answer carries them
	result waybill.Result // of the last answer
}

// answer sends an answer with the token to return, or without it if the answer can only be sent so.
func (h *hop) answer(result waybill.Result, send func(tokens []string) error) error {
	tokens := h.next(result)
	if tokens != nil && !h.returnsTo(h.reply) {
		h.rec.ReturnSuppressed(h.ctx, h.reply, "reply subject not an inbox, and not in OnlyReplies")
		tokens = nil
	}
	err := send(tokens)
	switch {
	case tokens == nil:
		return err
	case err == nil:
		h.rec.Returned(h.ctx, telemetry.Answered)
		return nil
	}
	// The error does not always tell whether the size is the cause: package micro hides it. With
	// another cause, the second attempt fails as well.
	if err := send(nil); err != nil {
		h.retain(tokens)
		return err
	}
	h.rec.Returned(h.ctx, telemetry.TooLarge)
	return nil
}

// next returns the tokens to return now, or none if nothing has changed or the hop has ended.
func (h *hop) next(result waybill.Result) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result = result
	tokens := h.Return(result)
	if tokens == nil {
		tokens = h.unsent
	}
	h.unsent = nil
	return tokens
}

// retain saves tokens for the next answer, which may have newer ones.
func (h *hop) retain(tokens []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsent = tokens
}

// outcome notes on the span that an answer reports an error.
func (h *hop) outcome(result waybill.Result, code string) {
	if result == waybill.Failed {
		h.span.Fail(cmp.Or(code, unknownError), "")
	}
}

// run calls the handler, and ends the hop when it returns or panics. Changes made after the last
// answer are not sent to the caller.
func (h *hop) run(handle func()) {
	returned := false
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		defer h.span.End()
		late := h.unsent != nil
		h.unsent = nil
		if !returned {
			h.Discard()
			h.span.Fail("panic", "")
			return
		}
		if late = h.Commit(h.result) != nil || late; late && h.reply != "" {
			h.rec.Returned(h.ctx, telemetry.TooLate)
		}
	}()
	handle()
	returned = true
}

// setReturn replaces the waybill's headers of an answer by the tokens to return. Headers that the
// application copied from the request are not sent back.
func (h *hop) setReturn(msg *nats.Msg, tokens []string) {
	header.Strip(msg.Header)
	if tokens != nil {
		header.Put(msg, waybill.HeaderReturn, tokens...)
		if header.Untrace(msg.Header) {
			h.rec.Untraced(h.ctx, "replies") // not the inbox, which would be a new one each time
		}
	}
}
