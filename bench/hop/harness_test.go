//go:build unix

package hop

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	cell  = waybill.NewClaim[string]("cell")
	seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// load is the kind of a call.
type load int

const (
	bare    load = iota // none of our code
	idle                // our code, no waybill
	carried             // a waybill that the server reads
	updated             // a waybill that the server changes; the returned token is merged
)

func (l load) String() string { return [...]string{"bare", "idle", "carried", "updated"}[l] }

// transport sets up a server and a client of it, and returns the client's one call.
type transport struct {
	name  string
	setup func(*env) func(context.Context) error
	loads []load
}

var transports = []transport{
	{"http1", setupHTTP, []load{bare, idle, carried, updated}},
	{"grpc", setupGRPC, []load{bare, idle, carried, updated}},
	{"nats", setupNATS, []load{bare, idle, carried, updated}},
	{"jetstream", setupJetStream, []load{bare, idle, carried}}, // nothing returns
}

// env is the environment that a transport is set up in.
type env struct {
	testing.TB
	auth *waybill.Authority
	load load
}

// start sets up a transport and returns one checked call. Each call has its own scope, like the
// calls of different requests. The cost of opening the caller's token is not part of the hop.
func (tr transport) start(tb testing.TB, l load) func() {
	e := &env{TB: tb, auth: authority(tb), load: l}
	from := tb.Context()
	if l >= carried {
		from, _ = e.auth.Receive(from, []string{tokenOf(tb, e.auth, 300)}, nil)
	}
	call := tr.setup(e)
	return func() {
		ctx := from
		if l >= carried {
			ctx = waybill.Detach(from)
		}
		if err := call(ctx); err != nil {
			tb.Fatal(err)
		}
		if got, _ := seats.Get(ctx); l == updated && got != 2 {
			tb.Fatalf("%d seats after the call, want the server's 2: %v", got, waybill.Lost(ctx))
		}
	}
}

// work is the handler of every server.
func (e *env) work(ctx context.Context) error {
	if e.load < carried {
		return nil
	}
	if _, err := cell.Lookup(ctx); err != nil {
		return err
	}
	if e.load == updated {
		return waybill.Update(ctx, seats.To(2))
	}
	return nil
}

func authority(tb testing.TB) *waybill.Authority {
	return waybilltest.Authority(tb, waybill.Claims(cell, seats))
}

// tokenOf returns a token of size bytes, or up to two bytes more, because base64 cannot have every
// length.
func tokenOf(tb testing.TB, auth *waybill.Authority, size int) string {
	tb.Helper()
	for n := 1; n < size; n++ {
		wb, err := auth.Issue(cell.To(strings.Repeat("x", n)))
		if err != nil {
			tb.Fatal(err)
		}
		if token := wb.Token(); len(token) >= size {
			return token
		}
	}
	tb.Fatalf("no token of %d bytes", size)
	return ""
}

// cpu returns the CPU time that this process has used.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkHop(b *testing.B) {
	for _, tr := range transports {
		for _, l := range tr.loads {
			b.Run(tr.name+"/"+l.String(), func(b *testing.B) {
				do := tr.start(b, l)
				b.ReportAllocs()
				from := cpu(b)
				for b.Loop() {
					do()
				}
				b.ReportMetric(float64(cpu(b)-from)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
