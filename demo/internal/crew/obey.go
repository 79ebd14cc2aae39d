package crew

import (
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// subject of the orders to a replica: its name follows.
const subject = "chaos."

// The orders to a replica.
const (
	ping  = ""       // asks for its life
	kill  = "kill"   // to die at once
	drain = "drain"  // to end when it has done what it has in hand
	pause = "pause " // to pause its line to the broker; the duration follows
)

// killed is the exit code of a process that SIGKILL ended.
const killed = 137

// Obey makes this process follow the orders that come on its line. A container cannot be killed
// from outside without the engine's socket, which nobody here has, and the first process of a
// container ignores its own SIGKILL. So the process exits at once: nothing is finished, flushed or
// said goodbye to.
func Obey(line *broker.Line, name string, finish func()) error {
	_, err := line.Subscribe(subject+name, func(m *nats.Msg) {
		m.Respond([]byte(watch.Life))
		line.Flush()
		switch order := string(m.Data); order {
		case ping:
		case kill:
			os.Exit(killed)
		case drain:
			finish()
		default:
			text, _ := strings.CutPrefix(order, pause)
			if d, err := time.ParseDuration(text); err == nil {
				line.Pause(min(d, longest))
			}
		}
	})
	return err
}

// longest is for how long a line is paused at most.
const longest = 10 * time.Second

// Pauses pauses the broker: all replicas pause their lines to it at the same time. It is safe for
// concurrent use.
type Pauses struct {
	nc *nats.Conn

	mu    sync.Mutex
	until time.Time
}

// NewPauses returns a Pauses that gives its orders on a connection.
func NewPauses(nc *nats.Conn) *Pauses { return &Pauses{nc: nc} }

// Pause makes the replicas pause their lines for a while.
func (p *Pauses) Pause(d time.Duration, replicas []string) {
	p.mu.Lock()
	p.until = time.Now().Add(d)
	p.mu.Unlock()
	for _, name := range replicas {
		p.nc.Publish(subject+name, []byte(pause+d.String()))
	}
	p.nc.Flush()
}

// Paused reports whether a pause is going on.
func (p *Pauses) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}
