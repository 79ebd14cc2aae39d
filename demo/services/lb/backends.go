package lb

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/demo/internal/wait"
)

// lookEvery is how often the backends' names are looked up.
const lookEvery = 500 * time.Millisecond

// backends are where the servers behind the balancer are. Their names are looked up again and
// again, because replicas come and go; an address in digits leads to itself.
type backends struct {
	names []string // host:port
	addrs atomic.Pointer[[]string]
}

// follow returns the addresses behind names, as they are from now on until ctx ends.
func follow(ctx context.Context, names []string) *backends {
	b := &backends{names: names}
	b.look(ctx)
	go func() {
		for wait.For(ctx, lookEvery) == nil {
			b.look(ctx)
		}
	}()
	return b
}

// look looks all names up. When none is known, those of before stay: they may be up although the
// name server is not.
func (b *backends) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var addrs []string
	for _, name := range b.names {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			continue
		}
		ips, _ := net.DefaultResolver.LookupHost(ctx, host)
		for _, ip := range ips {
			addrs = append(addrs, net.JoinHostPort(ip, port))
		}
	}
	if len(addrs) == 0 {
		return
	}
	slices.Sort(addrs) // name servers rotate their answers; the turn is ours
	b.addrs.Store(&addrs)
}

// now returns the addresses, which may be none.
func (b *backends) now() []string {
	if p := b.addrs.Load(); p != nil {
		return *p
	}
	return nil
}
