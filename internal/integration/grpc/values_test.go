package grpctest

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// Two tokens are none, though an instrumentation sees one of them alone and its propagator has opened it: otelgrpc the first,
// gRPC's own plugin the last.
func TestTwoTokens(t *testing.T) {
	auth := authority(t)
	with := instrument(propagator(auth))
	wb, err := auth.Issue(Cell.To("eu-3"))
	if err != nil {
		t.Fatal(err)
	}
	good := wb.Token()
	for _, by := range []struct {
		name  string
		opts  []grpc.ServerOption
		reads int // one of the two
	}{
		{"alone", nil, -1},
		{"otelgrpc", with.server(), 0},
		{"grpc-plugin", with.plugin(), 1},
	} {
		for _, values := range []struct {
			name string
			two  []string
		}{
			{"good-bad", []string{good, "x"}},
			{"bad-good", []string{"x", good}},
			{"same", []string{good, good}},
		} {
			opened := by.reads >= 0 && values.two[by.reads] == good
			for _, kind := range kinds {
				t.Run(by.name+"/"+values.name+"/"+kind.name, func(t *testing.T) {
					look := lookedAt(func(ctx context.Context) {
						if wb, err := waybill.FromContext(ctx); (wb != nil) != opened {
							t.Errorf("the instrumentation's propagator: got %v, %v, with a token to open: %v", wb, err, opened)
						}
					})
					both(t, auth, slices.Concat(by.opts, look), func(ctx context.Context, c grpc_testing.TestServiceClient) error {
						return kind.call(metadata.NewOutgoingContext(ctx, metadata.MD{waybill.Header: values.two}), c)
					})
				})
			}
		}
	}
}

// both makes a call that is refused as ambiguous, and the same where that is only observed.
func both(t *testing.T, auth *waybill.Authority, server []grpc.ServerOption, call func(context.Context, grpc_testing.TestServiceClient) error) {
	t.Helper()
	strict := dial(t, serve(t, func(context.Context) error {
		t.Error("the handler runs")
		return nil
	}, slices.Concat(server, serverOptions(auth))...))
	if err := call(t.Context(), strict); status.Code(err) != codes.InvalidArgument {
		t.Errorf("call: got %v, want %v", err, codes.InvalidArgument)
	}
	observing := dial(t, serve(t, func(ctx context.Context) error {
		if wb, err := waybill.FromContext(ctx); waybill.Reason(err) != "ambiguous" {
			t.Errorf("observed: got %v, %v, want an ambiguous one", wb, err)
		}
		return nil
	}, slices.Concat(server, serverOptions(auth, waybillgrpc.ReportOnly()))...))
	if err := call(t.Context(), observing); err != nil {
		t.Errorf("observed: %v", err)
	}
}
