// Package fleet runs the demo's services, each in a separate operating system process: the same
// binary again, with the role as its first argument.
//
// The pipe on a process's standard input is all that ties it to the one that started it. The first
// line describes the process. Then the pipe stays open for as long as the starter lives: its end is
// the order to stop, whether the starter closed it or died. A further line is the order to finish
// what is in hand, take nothing new, and end.
package fleet

import "time"

// Spec is what a process is told about itself.
type Spec struct {
	Name string // "cart-2"
	Role string // "cart"

	Addr string // where to listen; empty for a free port

	Cell   string        // the prices that a pricing service knows
	Broker string        // the URL of the NATS server
	Period time.Duration // of the keys; 0 for that of containers

	Dir     string // where the process may write; empty for nowhere
	Secrets string // the directory with the service's own files

	Peers map[string][]string // addresses by role
}
