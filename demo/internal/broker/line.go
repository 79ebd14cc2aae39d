package broker

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// SeedFile is the file in a user's directory that identifies the user to the broker.
const SeedFile = "nats.nkey"

// Line is a connection to the broker that can be paused at this end. If every service pauses its
// line at once, the server hangs as far as the services can tell. A signal could stop the server
// itself, but not in every container and not on every operating system.
type Line struct {
	*nats.Conn

	mu    sync.Mutex
	until time.Time // the end of the pause
}

// Join connects to the server as the user whose files are in dir. A connection on which two pings
// are not answered is made again, because networks break.
func Join(url, dir, name string) (*Line, error) {
	seed, err := nats.NkeyOptionFromSeed(filepath.Join(dir, SeedFile))
	if err != nil {
		return nil, fmt.Errorf("broker: %w: has \"demo init\" run?", err)
	}
	l := &Line{}
	l.Conn, err = nats.Connect(url, seed, nats.Name(name), nats.MaxReconnects(-1), nats.SetCustomDialer(l),
		nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 0),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2),
		nats.Timeout(10*time.Second)) // the default of 2 s is short for a busy machine
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", url, err)
	}
	return l, nil
}

// Pause delays every byte from the server for a while. Bytes to the server are not delayed: the
// connection's own lock is taken while they are written, and a service must be able to go on
// without the broker.
func (l *Line) Pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(d)
}

// wait returns when the line is not paused.
func (l *Line) wait() {
	for {
		l.mu.Lock()
		left := time.Until(l.until)
		l.mu.Unlock()
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}

// Dial implements nats.CustomDialer.
func (l *Line) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: nats.DefaultTimeout}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	return pausable{conn, l}, nil
}

// pausable is a connection whose incoming bytes wait for the end of the line's pause.
type pausable struct {
	net.Conn
	line *Line
}

func (p pausable) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.line.wait()
	return n, err
}
