package waybillnats

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// wayBack brings the updates of one hop into its answers. It is safe for concurrent use.
type wayBack struct {
	ctx context.Context
	hop waybill.Hop
	rec *telemetry.Recorder

	mu     sync.Mutex
	unsent string // an update whose answer could not be sent: the next one takes it
	failed bool   // as the last answer said
}

// answer sends an answer with the update that is due, or without it if only so it can be sent.
func (b *wayBack) answer(failed bool, send func(update string) error) error {
	update := b.next(failed)
	err := send(update)
	switch {
	case update == "":
		return err
	case err == nil:
		b.rec.Updated(b.ctx, telemetry.Answered)
		return nil
	}
	// The error does not always tell whether the size is to blame: package micro hides the cause. If it is not, the
	// second attempt fails as well.
	if err := send(""); err != nil {
		b.keep(update)
		return err
	}
	b.rec.Updated(b.ctx, telemetry.TooLarge)
	return nil
}

// next returns the update to send now, or "": nothing has changed, or the hop has ended.
func (b *wayBack) next(failed bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = failed
	update := b.hop.Update(failed)
	if update == "" {
		update = b.unsent
	}
	b.unsent = ""
	return update
}

// keep saves an update for the next answer, which may have a newer one instead.
func (b *wayBack) keep(update string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsent = update
}

// run calls a handler and ends the hop when it returns, or panics. The answered caller no longer gets what was changed
// after the last answer.
func (b *wayBack) run(reply string, handle func()) {
	returned := false
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late := b.unsent != ""
		b.unsent = ""
		if !returned {
			b.hop.Discard()
			return
		}
		if late = b.hop.Commit(b.failed) != "" || late; late && reply != "" {
			b.rec.Updated(b.ctx, telemetry.TooLate)
		}
	}()
	handle()
	returned = true
}

// stamp prepares the header of an answer: what an application copied from a request does not go back.
func stamp(msg *nats.Msg, update string) {
	header.Remove(msg.Header, waybill.Header, waybill.HeaderUpdate)
	if update != "" {
		header.Put(msg, waybill.HeaderUpdate, update)
	}
}
