package waybillnats

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
)

// HeaderReason is the header of a refusal that has its stable reason, as [waybill.Reason] gives it.
const HeaderReason = "Waybill-Reason"

// refuse answers a request that does not reach its handler. The cause stays here.
func refuse(nc *nats.Conn, m *nats.Msg, err error) {
	// To a stream, an answer would be an acknowledgement.
	if m.Reply == "" || strings.HasPrefix(m.Reply, "$JS.ACK.") {
		return
	}
	// If this fails, the connection is at an end, and so is the peer's wait.
	_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{
		micro.ErrorCodeHeader: {code(err)},
		micro.ErrorHeader:     {description(err)},
		HeaderReason:          {waybill.Reason(err)},
	}})
}

// code is the status of a refusal, in the numbers of HTTP that NATS services use.
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
