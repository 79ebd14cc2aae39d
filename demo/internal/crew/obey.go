package crew

import (
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/watch"
)

// subject of the orders to a replica: its name follows.
const subject = "chaos."

// What a replica can be asked.
const (
	ping  = ""      // for its life
	kill  = "kill"  // to die at once
	drain = "drain" // to end when it has done what it has in hand
	hold  = "hold " // to hold its line to the broker; the duration follows
)

// killed is the exit code of a process that SIGKILL ended.
const killed = 137

// Acts are what a replica does when it is asked to.
type Acts struct {
	Drain func()
	Hold  func(time.Duration)
}

// Obey has this process do what it is asked on the connection. A container cannot be killed from outside without the
// engine's socket, which nobody here has, and the first process of a container ignores its own SIGKILL. So it exits where it
// stands: nothing is finished, flushed or said goodbye to.
func Obey(nc *nats.Conn, name string, acts Acts) error {
	_, err := nc.Subscribe(subject+name, func(m *nats.Msg) {
		m.Respond([]byte(watch.Life))
		nc.Flush()
		switch order := string(m.Data); order {
		case ping:
		case kill:
			os.Exit(killed)
		case drain:
			acts.Drain()
		default:
			if d, ok := holds(order); ok {
				acts.Hold(d)
			}
		}
	})
	return err
}

// longest is for how long a line is held at most.
const longest = 10 * time.Second

func holds(order string) (time.Duration, bool) {
	if len(order) < len(hold) || order[:len(hold)] != hold {
		return 0, false
	}
	d, err := time.ParseDuration(order[len(hold):])
	return d, err == nil && d > 0 && d <= longest
}
