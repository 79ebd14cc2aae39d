package grpctest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// wire sees what comes back for a call before our interceptors do.
type wire struct {
	mu              sync.Mutex
	header, trailer metadata.MD
	arrived         chan struct{} // the trailer
}

type methodKey struct{}

func (w *wire) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, info.FullMethodName)
}

func (w *wire) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if ctx.Value(methodKey{}) == grpc_testing.TestService_EmptyCall_FullMethodName {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s := s.(type) {
	case *stats.InHeader:
		w.header = s.Header
	case *stats.InTrailer:
		w.trailer = s.Trailer
		close(w.arrived)
	}
}

func (w *wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (w *wire) HandleConn(context.Context, stats.ConnStats)                       {}

// run is one call of the matrix.
type run struct {
	*testing.T
	ctx    context.Context // the caller's
	wire   *wire
	client grpc_testing.TestServiceClient
	begin  func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption) (func() error, error)

	entered chan struct{} // the handler has changed claims
	release chan struct{} // and may return

	header, trailer metadata.MD // what the caller asked for
	finished        chan error
}

// begun begins the call, with what a caller may ask for besides.
func (r *run) begun(ctx context.Context) (end func() error) {
	r.Helper()
	end, err := r.begin(ctx, r.client, grpc.Header(&r.header), grpc.Trailer(&r.trailer),
		grpc.OnFinish(func(err error) { r.finished <- err }))
	if err != nil {
		r.Fatal(err)
	}
	return end
}

func (r *run) through() error {
	close(r.release)
	return r.begun(r.ctx)()
}

// canceled gives up while the handler runs.
func (r *run) canceled() error {
	defer close(r.release)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	end := r.begun(ctx)
	go func() {
		<-r.entered
		cancel()
	}()
	return end()
}

// expired has a deadline that passes while the handler runs.
func (r *run) expired() error {
	defer close(r.release)
	ctx := &expiring{r.ctx, make(chan struct{})}
	end := r.begun(ctx)
	go func() {
		<-r.entered
		close(ctx.passed)
	}()
	return end()
}

// canceledLate gives up when the trailer has arrived, and reads on.
func (r *run) canceledLate() error {
	close(r.release)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	end := r.begun(ctx)
	r.wait()
	cancel()
	return end()
}

// expiredLate has a deadline that passes when the trailer has arrived, and reads on.
func (r *run) expiredLate() error {
	close(r.release)
	ctx := &expiring{r.ctx, make(chan struct{})}
	end := r.begun(ctx)
	r.wait()
	close(ctx.passed)
	return end()
}

// wait waits until the client has the trailer: the answer of another call, which the connection reads after it, says so.
func (r *run) wait() {
	r.Helper()
	<-r.wire.arrived
	if _, err := r.client.EmptyCall(r.ctx, &grpc_testing.Empty{}); err != nil {
		r.Fatal(err)
	}
}

// expiring is a context whose deadline passes when the test says so, however busy the machine is.
type expiring struct {
	context.Context
	passed chan struct{}
}

func (e *expiring) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (e *expiring) Done() <-chan struct{}       { return e.passed }

func (e *expiring) Err() error {
	select {
	case <-e.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// outcomes are what may become of a call.
var outcomes = []struct {
	name   string
	play   func(*run) error
	result error // of the handler
	code   codes.Code
	merged bool
	stream bool // the caller of a unary call has nothing to do in between
}{
	{"ok", (*run).through, nil, codes.OK, true, false},
	{"error", (*run).through, status.Error(codes.NotFound, "no such train"), codes.NotFound, true, false},
	{"cancel", (*run).canceled, nil, codes.Canceled, false, false},
	{"deadline", (*run).expired, nil, codes.DeadlineExceeded, false, false},
	{"cancel-after-trailer", (*run).canceledLate, nil, codes.OK, true, true},
	{"deadline-after-trailer", (*run).expiredLate, nil, codes.OK, true, true},
}

// The update comes in the trailer, is merged before the caller sees how the call ended, and is of no other consequence: what
// the caller asked gRPC for is there, and no header says a word.
func TestMatrix(t *testing.T) {
	for _, kind := range calls {
		for _, outcome := range outcomes {
			if outcome.stream && kind.name == "unary" {
				continue
			}
			for _, server := range servers {
				t.Run(kind.name+"/"+outcome.name+"/"+server.name, func(t *testing.T) {
					auth := authority(t)
					r := &run{
						T: t, begin: kind.begin, wire: &wire{arrived: make(chan struct{})},
						entered: make(chan struct{}), release: make(chan struct{}), finished: make(chan error, 1),
					}
					p := server.start(t, &fourKinds{handle: func(ctx context.Context) error {
						change(t, ctx)
						close(r.entered)
						<-r.release
						return outcome.result
					}}, serverOptions(auth, waybillgrpc.Required(), skipEmptyCall)...)
					r.client = dialTLS(t, auth, p, grpc.WithStatsHandler(r.wire))
					var err error
					if r.ctx, err = auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1)); err != nil {
						t.Fatal(err)
					}

					if got := status.Code(outcome.play(r)); got != outcome.code {
						t.Fatalf("call: got %v, want %v", got, outcome.code)
					}
					want := 1
					if outcome.merged {
						want = 5
					}
					if seats, _ := Seats.Get(r.ctx); seats != want {
						t.Errorf("seats after the call: got %d, want %d; lost: %v", seats, want, waybill.Lost(r.ctx))
					}
					if booked, _ := Booked.Get(r.ctx); booked != (outcome.code == codes.OK) {
						t.Errorf("booked, a claim of successful calls: got %v after %v", booked, outcome.code)
					}
					r.intact(outcome.merged)
					// gRPC's own watch over the context may be first to end what the caller goes on reading.
					if err := <-r.finished; status.Code(err) != outcome.code && !outcome.stream {
						t.Errorf("the caller's grpc.OnFinish: got %v, want %v", err, outcome.code)
					}
				})
			}
		}
	}
}

var skipEmptyCall = waybillgrpc.Skip(func(method string) bool {
	return method == grpc_testing.TestService_EmptyCall_FullMethodName
})

// change does what a handler does: it reads a claim, changes two, and sets a trailer of its own.
func change(t *testing.T, ctx context.Context) {
	if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
		t.Errorf("handler: cell is %q (%v), want eu-3", cell, err)
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs("theirs", "trailer")); err != nil {
		t.Error(err)
	}
	if err := waybill.Update(ctx, Seats.To(5), Booked.To(true)); err != nil {
		t.Error(err)
	}
}

// intact checks what the caller asked for, and what was on the wire.
func (r *run) intact(merged bool) {
	r.Helper()
	if got := r.trailer["theirs"]; slices.Equal(got, []string{"trailer"}) != merged {
		r.Errorf("the caller's grpc.Trailer: got theirs %v, with a trailer that arrived: %v", got, merged)
	}
	if r.header[waybill.HeaderReturn] != nil || r.trailer[waybill.HeaderReturn] != nil {
		r.Error("the caller sees the update")
	}
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	if r.wire.header[waybill.HeaderReturn] != nil {
		r.Error("the update is in a header")
	}
	// After a call that was given up, the trailer may come yet, and is nobody's.
	if got := len(r.wire.trailer[waybill.HeaderReturn]); merged && got != 1 {
		r.Errorf("the trailer has %d updates, want 1", got)
	}
}
