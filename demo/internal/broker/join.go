package broker

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// Line is a connection to a server in a container of its own, where nobody can shut a gate before the server. The line
// can be held at this end: if every service does so at once, the server hangs as far as they can tell.
type Line struct {
	*nats.Conn
	valve valve
}

// Join connects to a server as the user whose seed is in a file. The server knows the public half alone. It is for
// networks that break: who gets no answer to two pings connects anew.
func Join(url, seedFile, name string) (*Line, error) {
	seed, err := nats.NkeyOptionFromSeed(seedFile)
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", seedFile, err)
	}
	l := &Line{}
	l.Conn, err = nats.Connect(url, seed, nats.Name(name), nats.MaxReconnects(-1), nats.SetCustomDialer(l),
		nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 0),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", url, err)
	}
	return l, nil
}

// Hold holds every byte on the line, in both directions, for a while.
func (l *Line) Hold(d time.Duration) { l.valve.pause(d) }

// Dial implements nats.CustomDialer.
func (l *Line) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: nats.DefaultTimeout}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	return held{conn, &l.valve}, nil
}

// held is a connection whose bytes wait until the valve is open.
type held struct {
	net.Conn
	valve *valve
}

func (h held) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.valve.wait()
	return n, err
}

func (h held) Write(b []byte) (int, error) {
	h.valve.wait()
	return h.Conn.Write(b)
}
