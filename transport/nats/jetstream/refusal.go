package waybilljetstream

import (
	"github.com/waybill-go/waybill"
)

// refusal is the reason why a message was not opened. It tells [JetStream.Settle] that the error is
// not the handler's: a handler may fail with the same error, from a call that it made.
type refusal struct {
	reason error
	held   bool // the outcome may change: neither Nak nor Term
	letter bool // the message is a dead letter, with notes about its original
}

func (r *refusal) Error() string { return "waybilljetstream: message refused: " + r.reason.Error() }

func (r *refusal) Unwrap() error { return r.reason }

// text is sent to the server: no token, no claims, no cause.
func (r *refusal) text() string { return "waybill: " + waybill.Reason(r.reason) }
