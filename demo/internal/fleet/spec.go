// Package fleet runs the demo's services, each in an operating system process of its own: the same binary again, with
// the role as its first argument.
//
// The pipe on a process's standard input is all that ties it to the one that started it. The first line tells it what
// it is to be, so that nothing secret stands in arguments or environment. Then the pipe stays open for as long as the
// starter lives: its end is the order to stop, whether the starter closed it or died. A further line is the order to
// finish what is in hand, take nothing new, and end.
package fleet

import "github.com/waybill-go/waybill/demo/internal/keys"

// Spec is what a process is told about itself.
type Spec struct {
	Name string // "cart-2"
	Role string // "cart"

	Addr string // where to listen; empty for a port that is free

	Cell     string // which prices a pricing service knows
	Broker   string // the URL of the NATS server
	Password string // for the NATS server
	Traces   string // the URL that takes the process's spans; empty for none

	Dir     string // where the process may write; empty for nowhere
	Secrets string // where a container has its own files; a process has them from its starter

	Keys *keys.Member // nil for a service that has no keys

	Peers map[string][]string // addresses by role
}
