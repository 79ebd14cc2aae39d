package header

import (
	"context"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
)

// Copy returns msg with a header of its own, from which the waybill's headers are removed: what an application puts
// there by hand, or copies from a message that it received, does not leave.
func Copy(msg *nats.Msg) *nats.Msg {
	h := maps.Clone(msg.Header)
	Remove(h, waybill.Header, waybill.HeaderUpdate)
	return &nats.Msg{Subject: msg.Subject, Reply: msg.Reply, Header: h, Data: msg.Data}
}

// Put sets a header of a message that may have none yet.
func Put(msg *nats.Msg, name, value string) {
	if msg.Header == nil {
		msg.Header = nats.Header{}
	}
	Set(msg.Header, name, value)
}

// Send pins the waybill in ctx for a message to subject. It returns no call if there is no waybill, with the reason in
// absent; err is for one that must not be sent.
func Send(ctx context.Context, subject string) (call *waybill.Call, absent, err error) {
	if _, absent = waybill.FromContext(ctx); absent != nil {
		return nil, absent, nil
	}
	call, err = waybill.Send(ctx)
	if err != nil {
		err = fmt.Errorf("not sent to %q: %w; in the handler of a durable message, call waybill.Reissue first", subject, err)
	}
	return call, nil, err
}
