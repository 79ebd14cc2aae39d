package operator

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waybill-go/waybill/demo/internal/keys"
)

// BrokerVolume is where the broker finds its configuration.
const (
	BrokerVolume = "nats"
	configFile   = "nats.conf"
)

// users are all who may connect to the broker. The balancer and the servers with sessions are no members of the ring, and
// only report.
func users() []string {
	return slices.Sorted(maps.Keys(permissions))
}

// permission is what a user may publish and subscribe to.
type permission struct{ publish, subscribe []string }

// Everybody may use the demo's own subjects, on which services report, and have answers. The page's orders everybody may
// hear, and nobody but the operator may give.
var everybody = permission{[]string{"demo.>"}, []string{"demo.>", "chaos.*", "_INBOX.>"}}

// follows is what a member needs for the ring, and proposes what it needs beside that to add keys.
var (
	follows = permission{
		[]string{"$JS.API.STREAM.INFO.KV_waybill", "$JS.API.STREAM.MSG.GET.KV_waybill"}, []string{"waybill.nudge.waybill.>"},
	}
	proposes = permission{[]string{"$KV.waybill.ring.trips"}, nil}
)

// permissions by user, beside those of everybody. Who faces the world cannot as much as write to the ring.
var permissions = map[string][]permission{
	"lb":     nil,
	"sticky": nil,
	"gateway": {follows, {
		[]string{"pricing.*", "$JS.API.STREAM.INFO.TICKETS", "$JS.API.DIRECT.GET.TICKETS.>"}, nil,
	}},
	"cart":    {follows, proposes},
	"pricing": {follows, proposes, {nil, []string{"pricing.*", "$SRV.>"}}},
	"payment": {follows, proposes, {[]string{"orders.placed"}, nil}},
	"fulfil": {follows, proposes, {
		[]string{"tickets.*", "$JS.API.CONSUMER.INFO.ORDERS.fulfil", "$JS.API.CONSUMER.MSG.NEXT.ORDERS.fulfil", "$JS.ACK.>"}, nil,
	}},
	keys.OperatorName: {{[]string{">"}, []string{">"}}},
}

// brokerConfig is the configuration of the NATS server. It holds no secret: of each user the server knows the public key.
func brokerConfig(public map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(`# Written by "demo init".
port: 4222
http: "127.0.0.1:8222" # for the health check in the same container

jetstream { store_dir: "/data", max_memory_store: 16MB, max_file_store: 256MB }

# Who is cut off is given up soon, so that others get its messages.
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"

authorization {
  users = [
`)
	for _, name := range slices.Sorted(maps.Keys(public)) {
		all := append([]permission{everybody}, permissions[name]...)
		var publish, subscribe []string
		for _, p := range all {
			publish, subscribe = append(publish, p.publish...), append(subscribe, p.subscribe...)
		}
		fmt.Fprintf(&b, "    # %s\n    { nkey: %s, permissions: {\n      publish: [%s]\n      subscribe: [%s]\n"+
			"      allow_responses: true\n    } }\n", name, public[name], quoted(publish), quoted(subscribe))
	}
	b.WriteString("  ]\n}\n")
	return b.Bytes()
}

func quoted(subjects []string) string {
	var all []string
	for _, s := range subjects {
		all = append(all, fmt.Sprintf("%q", s))
	}
	return strings.Join(all, ", ")
}
