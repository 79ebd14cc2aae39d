package waybillnats

import (
	"strings"

	"github.com/waybill-go/waybill/transport/nats/internal/subject"
)

// returnsTo reports whether changes may be returned to a reply subject. The request named it, and
// not the sender of the answer.
func (c *Conn) returnsTo(reply string) bool {
	if c.only.Restricted() {
		return c.only.Approves(reply)
	}
	prefix := c.nc.Opts.InboxPrefix
	return subject.Inbox(reply) || prefix != "" && strings.HasPrefix(reply, prefix+".")
}
