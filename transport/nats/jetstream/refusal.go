package waybilljetstream

import (
	"github.com/waybill-go/waybill"
)

// refusal is the reason for which a message was not opened. It tells [Settle] that the fault is not the handler's: a
// handler may well fail with the same error, of a call that it made.
type refusal struct {
	reason error
	held   bool // the answer may be another one later: neither Nak nor Term
}

func (r *refusal) Error() string { return "waybilljetstream: message refused: " + r.reason.Error() }

func (r *refusal) Unwrap() error { return r.reason }

// text is what the server and dead letters learn: no token, no claims, no cause.
func (r *refusal) text() string { return "waybill: " + waybill.Reason(r.reason) }
