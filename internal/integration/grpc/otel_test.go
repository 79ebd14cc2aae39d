package grpctest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// The interceptors do the same with and without OpenTelemetry, and with its propagator: two hops read the claims, each
// opens the token once, and the last one's change comes back to the first. Traces are whole.
func TestBesideInstrumentation(t *testing.T) {
	auth := authority(t)
	for _, tt := range []struct {
		name  string
		with  *instrumentation
		count map[string]int64 // besides what the interceptors count
	}{
		{"alone", nil, nil},
		{"instrumentation", instrument(), nil},
		{"instrumentation with the propagator", instrument(propagator(auth)), nil},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+", "+kind.name, func(t *testing.T) {
				var server []grpc.ServerOption
				var client []grpc.DialOption
				ctx := t.Context()
				if tt.with != nil {
					server, client = tt.with.server(), tt.with.client()
					var span trace.Span
					ctx, span = tt.with.provider.Tracer("test").Start(ctx, "edge")
					defer span.End()
				}
				server = append(server, serverOptions(auth, waybillgrpc.Required())...)
				client = append(client, dialOptions(auth, allow)...)

				reads := func(ctx context.Context, hop string) {
					if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
						t.Errorf("%s: cell is %q (%v), want eu-3", hop, cell, err)
					}
				}
				last := dial(t, serve(t, func(ctx context.Context) error {
					reads(ctx, "last")
					return waybill.Update(ctx, Seats.To(5))
				}, server...), client...)
				middle := dial(t, serve(t, func(ctx context.Context) error {
					reads(ctx, "middle")
					return kind.call(ctx, last)
				}, server...), client...)

				ctx, err := auth.Start(ctx, Cell.To("eu-3"), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				before := counts(t)
				if err := kind.call(ctx, middle); err != nil {
					t.Fatal(err)
				}
				if seats, _ := Seats.Get(ctx); seats != 5 {
					t.Errorf("seats after the call: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
				}
				want := map[string]int64{
					"waybill.open ok": 2, "waybill.inject sent": 2,
					"waybill.return answered": 2, "waybill.return relayed": 1, "waybill.return merged": 1,
				}
				for name, n := range tt.count {
					want[name] += n
				}
				since(t, before, want)
				if tt.with != nil {
					traced(t, ctx, tt.with)
				}
			})
		}
	}
}

// traced checks that both hops are in the caller's trace, and say what became of the waybill.
func traced(t *testing.T, ctx context.Context, with *instrumentation) {
	t.Helper()
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"waybill.outcome": "ok", "waybill.sid": wb.ID(), "waybill.kid": wb.KeyID()}
	for range 2 {
		span := with.spans.next(t)
		if got, want := span.SpanContext().TraceID(), trace.SpanContextFromContext(ctx).TraceID(); got != want {
			t.Errorf("trace of a server's span: got %v, want %v", got, want)
		}
		if got := attributes(span); !maps.Equal(got, want) {
			t.Errorf("attributes of a server's span: got %v, want %v", got, want)
		}
	}
}

// The propagator alone carries the claims over two hops, where injecting always was asked for. It has no way back.
func TestPropagatorAlone(t *testing.T) {
	auth := authority(t)
	with := instrument(propagator(auth, waybillprop.InsecureInjectAlways()))
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			var cells []string
			last := dial(t, serve(t, func(ctx context.Context) error {
				cell, _ := Cell.Get(ctx)
				cells = append(cells, "last "+cell)
				return waybill.Update(ctx, Seats.To(5))
			}, with.server()...), with.client()...)
			middle := dial(t, serve(t, func(ctx context.Context) error {
				cell, _ := Cell.Get(ctx)
				cells = append(cells, "middle "+cell)
				return kind.call(ctx, last)
			}, with.server()...), with.client()...)

			ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
			if err != nil {
				t.Fatal(err)
			}
			if err := kind.call(ctx, middle); err != nil {
				t.Fatal(err)
			}
			if want := []string{"middle eu-3", "last eu-3"}; !slices.Equal(cells, want) {
				t.Errorf("cells: got %v, want %v", cells, want)
			}
			if seats, _ := Seats.Get(ctx); seats != 1 {
				t.Errorf("seats after the call: got %d, want 1", seats)
			}
		})
	}
}

// A connection that only has OpenTelemetry's instrumentation takes the trace along and not the waybill, even if a handler
// copies its metadata into the call.
func TestForeignServer(t *testing.T) {
	auth := authority(t)
	with := instrument(propagator(auth))
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			var tokens, traces, copied []string
			foreign := dial(t, serve(t, func(ctx context.Context) error {
				tokens = slices.Concat(incoming(ctx, waybill.Header), incoming(ctx, waybill.HeaderReturn))
				traces = incoming(ctx, "traceparent")
				copied = incoming(ctx, "theirs")
				return nil
			}), with.client()...)
			client := dial(t, serve(t, func(ctx context.Context) error {
				md, _ := metadata.FromIncomingContext(ctx)
				return kind.call(metadata.NewOutgoingContext(ctx, md), foreign)
			}, append(with.server(), serverOptions(auth, waybillgrpc.Required())...)...),
				append(with.client(), dialOptions(auth, allow)...)...)

			ctx, err := auth.Start(metadata.AppendToOutgoingContext(t.Context(), "theirs", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := kind.call(ctx, client); err != nil {
				t.Fatal(err)
			}
			if len(tokens) != 0 {
				t.Errorf("the foreign server got %d tokens, want none", len(tokens))
			}
			if len(traces) != 1 || !slices.Equal(copied, []string{"1"}) {
				t.Errorf("the foreign server got traceparent %v and theirs %v, want one and [1]", traces, copied)
			}
		})
	}
}

// A propagator that always injects, beneath the interceptors, does not make two tokens of one.
func TestInjectedBeneath(t *testing.T) {
	auth := authority(t)
	with := instrument(propagator(auth, waybillprop.InsecureInjectAlways()))
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			client := dial(t, serve(t, func(ctx context.Context) error { return waybill.Update(ctx, Seats.To(5)) },
				serverOptions(auth, waybillgrpc.Required())...),
				append(with.client(), dialOptions(auth, allow)...)...)
			ctx, err := auth.Start(t.Context(), Seats.To(1))
			if err != nil {
				t.Fatal(err)
			}
			if err := kind.call(ctx, client); err != nil {
				t.Fatal(err)
			}
			if seats, _ := Seats.Get(ctx); seats != 5 {
				t.Errorf("seats after the call: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
			}
		})
	}
}

// The instrumentation injects for each attempt. The token is that of the call all the same, while traces go on.
func TestRetriesOfInstrumented(t *testing.T) {
	auth := authority(t)
	with := instrument(propagator(auth))
	ctx, err := auth.Start(t.Context(), Seats.To(1))
	if err != nil {
		t.Fatal(err)
	}
	pinned := token(t, ctx)
	var tokens, traces []string
	record := lookedAt(func(ctx context.Context) {
		tokens = append(tokens, incoming(ctx, waybill.Header)...)
		traces = append(traces, incoming(ctx, "traceparent")...)
	})
	target := serve(t, func(hop context.Context) error {
		if err := waybill.Update(hop, Seats.To(10*len(tokens))); err != nil {
			t.Error(err)
		}
		if err := waybill.Update(ctx, Cell.To(fmt.Sprint("attempt-", len(tokens)))); err != nil { // the caller's
			t.Error(err)
		}
		if len(tokens) < 3 {
			return status.Error(codes.Unavailable, "not now")
		}
		return nil
	}, slices.Concat(record, with.server(), serverOptions(auth))...)
	client := dial(t, target, append(append(with.client(), dialOptions(auth, allow)...),
		grpc.WithDefaultServiceConfig(retryPolicy))...)
	if err := unary(ctx, client); err != nil {
		t.Fatal(err)
	}
	if want := []string{pinned, pinned, pinned}; !slices.Equal(tokens, want) || len(traces) != 3 {
		t.Errorf("got %d tokens and %d traceparents, want the pinned token and a traceparent in each of 3 attempts",
			len(tokens), len(traces))
	}
	seats, _ := Seats.Get(ctx)
	if cell, _ := Cell.Get(ctx); seats != 30 || cell != "attempt-3" {
		t.Errorf("after the call: got %d seats, cell %s, want 30, attempt-3; lost: %v", seats, cell, waybill.Lost(ctx))
	}
}
