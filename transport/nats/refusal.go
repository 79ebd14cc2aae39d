package waybillnats

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
)

// HeaderReason is the header of a refusal that contains its stable reason, as [waybill.Reason]
// returns it.
const HeaderReason = "Waybill-Reason"

// refuse answers a request that is refused. The caller learns the reason, and nothing about the
// cause.
func (c *Conn) refuse(m *nats.Msg, err error) {
	// An answer to a stream's delivery would be an acknowledgement.
	if m.Reply == "" || isAck(m.Reply) {
		return
	}
	// If this fails, the connection is closed, and the caller no longer waits.
	_ = c.nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{
		micro.ErrorCodeHeader: {code(err)},
		micro.ErrorHeader:     {description(err)},
		HeaderReason:          {waybill.Reason(err)},
	}})
}

// isAck reports whether an answer to a reply subject acknowledges a message of a stream.
func isAck(reply string) bool { return strings.HasPrefix(reply, "$JS.ACK.") }

// code returns the status of a refusal: NATS services use the numbers of HTTP.
func code(err error) string {
	switch waybill.ClassOf(err) {
	case waybill.Unauthenticated:
		return "401"
	case waybill.Denied:
		return "403"
	case waybill.Invalid, waybill.TooLarge:
		return "400"
	default:
		return "503"
	}
}

func description(err error) string { return "waybill refused: " + waybill.Reason(err) }
