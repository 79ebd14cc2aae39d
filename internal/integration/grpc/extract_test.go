package grpctest

import (
	"context"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// A handler that extracts its trace from the metadata, with a composite that has the propagator of waybills, keeps its
// journey, and what it changes afterwards goes back: the interceptor took the token out of the metadata.
func TestHandlerExtracts(t *testing.T) {
	auth := authority(t)
	composite := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, propagator(auth))
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			client := dial(t, serve(t, func(ctx context.Context) error {
				md, _ := metadata.FromIncomingContext(ctx)
				carrier := propagation.MapCarrier{}
				for key, values := range md {
					carrier[key] = values[0]
				}
				ctx = composite.Extract(ctx, carrier)
				if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
					t.Errorf("after Extract: cell is %q (%v), want eu-3", cell, err)
				}
				return waybill.Update(ctx, Seats.To(5))
			}, serverOptions(auth, waybillgrpc.Required())...), dialOptions(auth, allow)...)
			ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
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

// A foreign interceptor, in front of ours or behind, that extracts its trace with such a composite, from a copy of the
// metadata or from the metadata itself, keeps the journey, and what the handler changes goes back.
func TestInterceptorExtracts(t *testing.T) {
	auth := authority(t)
	composite := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, propagator(auth))
	carriers := map[string]func(metadata.MD) propagation.TextMapCarrier{
		"map": func(md metadata.MD) propagation.TextMapCarrier {
			carrier := propagation.MapCarrier{}
			for key, values := range md {
				carrier[key] = values[0]
			}
			return carrier
		},
		"metadata": func(md metadata.MD) propagation.TextMapCarrier { return mdCarrier(md) },
	}
	sampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	for name, carrier := range carriers {
		theirs := extracting(func(ctx context.Context) context.Context {
			md, _ := metadata.FromIncomingContext(ctx)
			return composite.Extract(ctx, carrier(md))
		})
		ours := serverOptions(auth, waybillgrpc.Required())
		for position, opts := range map[string][]grpc.ServerOption{
			"in front": slices.Concat(theirs, ours),
			"behind":   slices.Concat(ours, theirs),
			"both":     slices.Concat(theirs, ours, theirs),
		} {
			for _, kind := range kinds {
				t.Run(name+"/"+position+"/"+kind.name, func(t *testing.T) {
					client := dial(t, serve(t, func(ctx context.Context) error {
						if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
							t.Errorf("cell is %q (%v), want eu-3", cell, err)
						}
						if got := trace.SpanContextFromContext(ctx).TraceID(); got != sampled.TraceID() {
							t.Errorf("trace is %s, want %s", got, sampled.TraceID())
						}
						return waybill.Update(ctx, Seats.To(5))
					}, opts...), dialOptions(auth, allow)...)
					ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
					if err != nil {
						t.Fatal(err)
					}
					md := metadata.MD{}
					composite.Inject(trace.ContextWithSpanContext(ctx, sampled), mdCarrier(md))
					if err := kind.call(metadata.NewOutgoingContext(ctx, md), client); err != nil {
						t.Fatal(err)
					}
					if seats, _ := Seats.Get(ctx); seats != 5 {
						t.Errorf("seats after the call: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
					}
				})
			}
		}
	}
}

// extracting are interceptors that replace the context of a call.
func extracting(extract func(context.Context) context.Context) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			return h(extract(ctx), req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, &inContext{ss, extract(ss.Context())})
		}),
	}
}

// inContext is a stream with another context.
type inContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *inContext) Context() context.Context { return s.ctx }

// mdCarrier is a carrier of the metadata itself, as instrumentation of gRPC has one.
type mdCarrier metadata.MD

func (c mdCarrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c mdCarrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

func (c mdCarrier) Keys() (keys []string) {
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
