package waybillgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// ServerOptions returns both server interceptors, chained with those of other options. Here as in all functions of this
// package a nil Authority panics.
func ServerOptions(auth *waybill.Authority, opts ...Option) []grpc.ServerOption {
	c := newConfig(auth, opts)
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(c.unaryServer), grpc.ChainStreamInterceptor(c.streamServer)}
}

// UnaryServerInterceptor opens the waybill of a unary call, judges it, and sends back what the handler changed.
func UnaryServerInterceptor(auth *waybill.Authority, opts ...Option) grpc.UnaryServerInterceptor {
	return newConfig(auth, opts).unaryServer
}

// StreamServerInterceptor does for streams what [UnaryServerInterceptor] does for unary calls. The waybill is judged once,
// when the stream opens, and changes are sent back when it ends.
func StreamServerInterceptor(auth *waybill.Authority, opts ...Option) grpc.StreamServerInterceptor {
	return newConfig(auth, opts).streamServer
}

func (c *config) unaryServer(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (resp any, err error) {
	err = c.serve(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		resp, err = handler(ctx, req)
		return err
	})
	return resp, err
}

func (c *config) streamServer(
	srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	return c.serve(ss.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &serverStream{ss, ctx})
	})
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// serve is one call on the server. A nested interceptor of ours leaves the hop to the outermost one, but holds to its own
// policy.
func (c *config) serve(ctx context.Context, method string, handle func(context.Context) error) error {
	if c.received(ctx) {
		if c.skip(method) {
			return handle(ctx)
		}
		if err := c.policy.Admit(ctx, c.rec); err != nil {
			return refusal(err)
		}
		return handle(ctx)
	}
	values := metadata.ValueFromIncomingContext(ctx, waybill.Header)
	ctx = stripped(ctx, values)
	if c.skip(method) {
		return handle(ctx)
	}
	ctx, hop := c.auth.Receive(ctx, values)
	c.rec.Opened(ctx, hop)
	own := hop.Begin()
	if err := c.policy.Admit(ctx, c.rec); err != nil {
		return refusal(err)
	}
	ctx = &received{ctx, c.auth, grpc.ServerTransportStreamFromContext(ctx)}
	if !own {
		return handle(ctx)
	}
	returned := false
	defer func() {
		if !returned {
			hop.Discard() // the handler panicked
		}
	}()
	err := handle(ctx)
	returned = true
	c.answer(ctx, hop, err)
	return err
}

// received marks a context in which the call's waybill has been opened and taken out of the metadata. It holds the call,
// because contexts are inherited: by calls inside one process, for instance.
type received struct {
	context.Context
	auth   *waybill.Authority
	stream grpc.ServerTransportStream
}

type receivedKey struct{}

// Value makes the mark the context that holds it.
func (r *received) Value(key any) any {
	if key == (receivedKey{}) {
		return r
	}
	return r.Context.Value(key)
}

func (c *config) received(ctx context.Context) bool {
	r, ok := ctx.Value(receivedKey{}).(*received)
	return ok && r.auth == c.auth && r.stream != nil && r.stream == grpc.ServerTransportStreamFromContext(ctx)
}

// stripped returns ctx without what only the wire may bring: handlers copy their metadata into calls of their own.
func stripped(ctx context.Context, values []string) context.Context {
	if values == nil && metadata.ValueFromIncomingContext(ctx, waybill.HeaderUpdate) == nil {
		return ctx
	}
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	delete(md, waybill.Header)
	delete(md, waybill.HeaderUpdate)
	return metadata.NewIncomingContext(ctx, md)
}

// answer ends the hop and puts its update into the trailer, where it fits.
func (c *config) answer(ctx context.Context, hop waybill.Hop, err error) {
	update := hop.Commit(err != nil)
	if update == "" {
		return
	}
	outcome := telemetry.Answered
	switch {
	case !fits(ctx, update, err):
		outcome = telemetry.TooLarge
	case grpc.SetTrailer(ctx, metadata.Pairs(waybill.HeaderUpdate, update)) != nil:
		outcome = telemetry.TooLate // the call is over: its client has left
	}
	c.rec.Updated(ctx, outcome)
}
