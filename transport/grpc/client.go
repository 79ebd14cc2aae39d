package waybillgrpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
)

// DialOptions returns both client interceptors, chained with those of other options. Giving them to a connection is the
// permission to send the caller's waybill to its target.
func DialOptions(auth *waybill.Authority, opts ...Option) []grpc.DialOption {
	c := newConfig(auth, opts)
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.unaryClient),
		grpc.WithChainStreamInterceptor(c.streamClient),
	}
}

// UnaryClientInterceptor sends the caller's waybill with a unary call, and merges the update before the call returns,
// whether it succeeded or not.
func UnaryClientInterceptor(auth *waybill.Authority, opts ...Option) grpc.UnaryClientInterceptor {
	return newConfig(auth, opts).unaryClient
}

// StreamClientInterceptor does for streams what [UnaryClientInterceptor] does for unary calls. The waybill is that of the
// moment the stream was opened; the update is merged before the caller sees the end of the stream.
func StreamClientInterceptor(auth *waybill.Authority, opts ...Option) grpc.StreamClientInterceptor {
	return newConfig(auth, opts).streamClient
}

func (c *config) unaryClient(
	ctx context.Context, method string, req, reply any,
	cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	if pinned(opts) {
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	ctx = withoutWaybill(ctx)
	out, err := c.pin(ctx, method, cc, opts)
	if err != nil {
		return err
	}
	defer hideUpdate(opts)
	if out == nil {
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	// Clip: the slice may be shared by concurrent calls.
	var trailer metadata.MD
	err = invoker(ctx, method, req, reply, cc,
		append(slices.Clip(opts), grpc.PerRPCCredentials(out), grpc.Trailer(&trailer))...)
	out.returned(ctx, trailer, err != nil)
	return err
}

func (c *config) streamClient(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	streamer grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if pinned(opts) {
		return streamer(ctx, desc, cc, method, opts...)
	}
	ctx = withoutWaybill(ctx)
	out, err := c.pin(ctx, method, cc, opts)
	if err != nil {
		return nil, err
	}
	s := &clientStream{ctx: ctx, out: out, opts: opts, single: !desc.ServerStreams}
	if out != nil {
		opts = append(slices.Clip(opts), grpc.PerRPCCredentials(out))
	}
	if s.ClientStream, err = streamer(ctx, desc, cc, method, opts...); err != nil {
		return nil, err
	}
	return s, nil
}

// pinned reports whether an outer interceptor of ours looks after the call.
func pinned(opts []grpc.CallOption) bool {
	_, ok := credentialsOf(opts).(*outgoing)
	return ok
}

// pin returns the call with its token, or nil if the call goes on without one.
func (c *config) pin(ctx context.Context, method string, cc *grpc.ClientConn, opts []grpc.CallOption) (*outgoing, error) {
	if c.skip(method) {
		return nil, nil
	}
	call, err := c.auth.Send(ctx)
	if err == nil {
		return &outgoing{config: c, call: call, cc: cc, method: method, next: credentialsOf(opts)}, nil
	}
	c.rec.Injected(ctx, err)
	if _, none := waybill.FromContext(ctx); none == nil && errors.Is(err, waybill.ErrExpired) {
		return nil, expiredError{}
	}
	return nil, nil
}

// withoutWaybill returns ctx without a waybill in its metadata: what travels is what was pinned.
func withoutWaybill(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok || md[waybill.Header] == nil && md[waybill.HeaderUpdate] == nil {
		return ctx
	}
	delete(md, waybill.Header)
	delete(md, waybill.HeaderUpdate)
	return metadata.NewOutgoingContext(ctx, md)
}

// returned merges the update of the call's trailer.
func (o *outgoing) returned(ctx context.Context, trailer metadata.MD, failed bool) {
	values := trailer[waybill.HeaderUpdate]
	if len(values) == 0 || !o.sent.Load() {
		return
	}
	opts := o.accept
	if failed {
		opts = append(slices.Clip(opts), waybill.Failed())
	}
	// Several updates are none: joined, they are malformed.
	outcome, err := o.call.Return(strings.Join(values, ","), opts...)
	o.rec.Returned(ctx, outcome, err)
}

// clientStream merges the update when the stream ends. It does so in RecvMsg and not in a grpc.OnFinish callback, which
// older versions of gRPC call before the trailer is there, and newer ones beside the RecvMsg that shows the end.
type clientStream struct {
	grpc.ClientStream
	ctx    context.Context
	out    *outgoing // nil: the call carries no waybill
	opts   []grpc.CallOption
	single bool // the server sends one message, which ends the stream
	ended  bool // read and written by RecvMsg only, which must not be called concurrently
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if (err != nil || s.single) && !s.ended {
		s.ended = true
		s.end(err)
	}
	return err
}

func (s *clientStream) end(err error) {
	if s.out != nil {
		s.out.returned(s.ctx, s.ClientStream.Trailer(), err != nil && err != io.EOF)
	}
	hideUpdate(s.opts)
}

func (s *clientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return withoutUpdate(md), err
}

func (s *clientStream) Trailer() metadata.MD { return withoutUpdate(s.ClientStream.Trailer()) }
