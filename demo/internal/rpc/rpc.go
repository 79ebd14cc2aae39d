// Package rpc is the gRPC of the demo, with JSON for messages, so that nothing has to be generated.
package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/watch"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

func init() { encoding.RegisterCodec(codec{}) }

// codec implements encoding.Codec.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (codec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
func (codec) Name() string                       { return "json" }

// Unary describes a method.
func Unary[S, In, Out any](service, name string, call func(S, context.Context, *In) (*Out, error)) grpc.MethodDesc {
	handle := func(srv any, ctx context.Context, read func(any) error, wrap grpc.UnaryServerInterceptor) (any, error) {
		in := new(In)
		if err := read(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + service + "/" + name}
		return wrap(ctx, in, info, func(ctx context.Context, in any) (any, error) {
			return call(srv.(S), ctx, in.(*In))
		})
	}
	return grpc.MethodDesc{MethodName: name, Handler: handle}
}

// Serve serves one gRPC service until ctx is done and the calls in hand are answered. A call without a waybill is refused.
func Serve(ctx context.Context, e *service.Env, desc *grpc.ServiceDesc, impl any) error {
	lis, err := e.Listen()
	if err != nil {
		return err
	}
	opts := append(waybillgrpc.ServerOptions(e.Auth, waybillgrpc.Required()),
		grpc.StatsHandler(otelgrpc.NewServerHandler()),
		grpc.ChainUnaryInterceptor(watchUnary(e.Watch)),
		grpc.ChainStreamInterceptor(watchStream(e.Watch)),
	)
	srv := grpc.NewServer(opts...)
	srv.RegisterService(desc, impl)
	context.AfterFunc(ctx, srv.GracefulStop)
	fleet.Ready(lis.Addr().String())
	return srv.Serve(lis)
}

func watchUnary(w *watch.Reporter) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		defer w.Begin(ctx, "gRPC")()
		return next(ctx, in)
	}
}

func watchStream(w *watch.Reporter) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		defer w.Begin(s.Context(), "gRPC stream")()
		return next(srv, s)
	}
}

// policy spreads calls over all replicas and repeats one whose replica dies. Nothing but an idempotency key makes
// that safe.
const policy = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [{}],
		"retryPolicy": {
			"maxAttempts": 5, "initialBackoff": "0.02s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// Dial connects to all replicas of a role. Connecting happens in the background.
func Dial(role string, addrs []string, auth *waybill.Authority) (*grpc.ClientConn, error) {
	var state resolver.State
	for _, a := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
	}
	static := manual.NewBuilderWithScheme("static")
	static.InitialState(state)
	opts := append(waybillgrpc.DialOptions(auth, waybillgrpc.AllowPlaintext()), // all on one machine
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithResolvers(static),
		grpc.WithDefaultServiceConfig(policy),
		grpc.WithDefaultCallOptions(grpc.CallContentSubtype(codec{}.Name())),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithStatsHandler(attempts{}),
		// The default of a second is long for a replica that is back after 50 ms.
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: time.Second,
			Backoff: backoff.Config{
				BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond,
			},
		}),
	)
	conn, err := grpc.NewClient("static:///"+role, opts...)
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	return conn, nil
}
