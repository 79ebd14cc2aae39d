package grpctest

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/propagation"
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
