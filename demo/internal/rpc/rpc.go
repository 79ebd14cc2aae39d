// Package rpc is the gRPC of the demo, with JSON for messages, so that nothing has to be generated.
package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/resolver/manual"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/watch"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

func init() {
	encoding.RegisterCodec(codec{})
	dns.SetMinResolutionInterval(time.Second) // the default of 30 s is long for replicas that come and go
}

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

// connectionAge is when a server asks a client to connect anew, give or take a tenth. A client
// looks up the replicas of a name when a connection ends, and so finds those that are new.
const connectionAge = 12 * time.Second

// Serve serves one gRPC service until ctx ends. A call without a waybill is refused.
func Serve(ctx context.Context, e *service.Env, desc *grpc.ServiceDesc, impl any) error {
	incoming, err := waybillgrpc.NewServer(e.Auth, waybillgrpc.Required())
	if err != nil {
		return err
	}
	opts := append(incoming.ServerOptions(),
		grpc.StatsHandler(otelgrpc.NewServerHandler()),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: connectionAge}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(watchUnary(e.Watch)),
		grpc.ChainStreamInterceptor(watchStream(e.Watch)),
	)
	srv := grpc.NewServer(opts...)
	srv.RegisterService(desc, impl)
	return e.Serve(ctx, srv.Serve, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, srv.Stop)()
		srv.GracefulStop()
		return ctx.Err()
	})
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

// policy spreads calls over all replicas and repeats one whose replica dies. Nothing but an
// idempotency key makes that safe.
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

// Dial connects to all replicas of a role: to fixed addresses, or to wherever a name such as
// dns:///cart:9000 leads if that is the only one. Connecting happens in the background.
func Dial(role string, addrs []string, auth *waybill.Authority) (*grpc.ClientConn, error) {
	target := "static:///" + role
	if len(addrs) == 1 && strings.HasPrefix(addrs[0], "dns:///") {
		target = addrs[0]
	}
	var state resolver.State
	for _, a := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
	}
	static := manual.NewBuilderWithScheme("static")
	static.InitialState(state)
	outgoing, err := waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext()) // all on one machine
	if err != nil {
		return nil, err
	}
	opts := append(outgoing.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithResolvers(static),
		grpc.WithDefaultServiceConfig(policy),
		grpc.WithDefaultCallOptions(grpc.CallContentSubtype(codec{}.Name())),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithDisableServiceConfig(), // no TXT records
		// A replica that is cut off says nothing. Requests that it has not confirmed after Timeout
		// are lost, and are sent to another replica.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
		// The default of a second is long for a replica that is back after 50 ms.
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: time.Second,
			Backoff: backoff.Config{
				BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond,
			},
		}),
	)
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	return conn, nil
}
