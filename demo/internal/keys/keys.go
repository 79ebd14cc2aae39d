// Package keys gives the demo its keys. An operator's part is done once, at the start: [Create] says who the members are
// and puts the first ring, sealed to them, into a NATS bucket. From then on the services rotate it among themselves: see
// [Member.Open]. There is no leader, and nobody else has a hand in it.
package keys

import (
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// Life is how long a waybill lives. It is short because the keys change so quickly here and a ring keeps 64 at most.
const Life = 3 * time.Minute

// Policy is how the keys follow each other: as in real life, but within seconds. The defaults are beside it. The period
// is 4 s at least.
func Policy(period time.Duration) keyring.Policy {
	return keyring.Policy{
		Period:    period,                 // 24 h
		Delay:     3 * time.Second,        // 12 h
		Settle:    500 * time.Millisecond, // 60 s
		Poll:      500 * time.Millisecond, // 30 s
		Horizon:   Life,                   // 72 h
		Slack:     20 * time.Second,       // 7 days
		MaxSkew:   200 * time.Millisecond, // 5 s; all processes have one clock
		TokenLife: Life,                   // 1 h

		Protections: []keyring.Protection{keyring.Signed},
	}
}

// Steady is how they follow each other where nobody counts seconds: a broker may be away for two minutes, and a machine
// may sleep for as long.
var Steady = keyring.Policy{
	Period:    15 * time.Second,
	Delay:     6 * time.Second,
	Settle:    time.Second,
	Poll:      time.Second,
	Horizon:   Life,
	Slack:     2 * time.Minute,
	MaxSkew:   200 * time.Millisecond,
	TokenLife: Life,

	Protections: []keyring.Protection{keyring.Signed},
}

// Members are the services that have keys, and whether they may propose the next one. The gateway may not: it faces the
// world. The balancer has none.
var Members = map[string]bool{"gateway": false, "cart": true, "pricing": true, "payment": true, "fulfil": true}

// bucket is where the sealed ring lies.
const bucket = "waybill"
