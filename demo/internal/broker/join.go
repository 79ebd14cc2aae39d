package broker

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Join connects to a server as the user whose seed is in a file. The server knows the public half alone. It is for
// networks that break: who gets no answer to two pings connects anew.
func Join(url, seedFile, name string) (*nats.Conn, error) {
	seed, err := nats.NkeyOptionFromSeed(seedFile)
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", seedFile, err)
	}
	nc, err := nats.Connect(url, seed, nats.Name(name), nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 0),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", url, err)
	}
	return nc, nil
}
