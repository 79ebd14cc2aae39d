package waybilljetstream

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

const (
	maxKid  = 64  // characters
	maxHead = 512 // the longest encoded header of a token in which a kid is looked for
)

// kidOf returns the kid that a message's token names, or "" if the message does not have exactly
// one token with a well-formed kid. Nobody has verified it: it is for logs, and for sharing the
// room of held messages.
func kidOf(h nats.Header) string {
	values := header.Values(h, waybill.Header)
	if len(values) != 1 {
		return ""
	}
	head, _, found := strings.Cut(values[0], ".")
	if !found || len(head) > maxHead {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var fields struct{ Kid string }
	if json.Unmarshal(raw, &fields) != nil {
		return ""
	}
	kid, _, _ := strings.Cut(fields.Kid, ".") // behind the dot is the salt of a sealed token
	if len(kid) > maxKid || strings.ContainsFunc(kid, func(r rune) bool { return !isKid(r) }) {
		return ""
	}
	return kid
}

func isKid(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}
