package waybillgrpc

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
)

// Client sends waybills with outgoing calls. It is safe for concurrent use, and one Client serves any
// number of connections. [NewClient] makes one; the zero Client fails every call.
type Client struct {
	common
	plaintext bool
	peer      func(credentials.TLSInfo) bool // nil: all
	accept    []waybill.MergeOption
}

// NewClient returns a Client for connections to services of the Authority's trust domain. It returns an
// error if auth is nil or an option is invalid.
func NewClient(auth *waybill.Authority, opts ...ClientOption) (*Client, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	c := &Client{common: common}
	for _, o := range opts {
		if err := o.applyClient(c); err != nil {
			return nil, err
		}
	}
	c.record()
	return c, nil
}

// DialOptions returns both client interceptors as options, chained with those of other options. Giving
// them to a connection is the permission to send waybills to its target.
func (c *Client) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.UnaryInterceptor),
		grpc.WithChainStreamInterceptor(c.StreamInterceptor),
	}
}

// UnaryInterceptor is a [grpc.UnaryClientInterceptor]. It sends the caller's waybill with the call, and
// merges the returned token before the call returns, whether it succeeded or not.
func (c *Client) UnaryInterceptor(
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
	defer hideReturn(opts)
	if out == nil {
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	// Clip: the slice may be shared by concurrent calls.
	var trailer metadata.MD
	err = invoker(ctx, method, req, reply, cc,
		append(slices.Clip(opts), grpc.PerRPCCredentials(out), grpc.Trailer(&trailer))...)
	out.merge(ctx, trailer, resultOf(err))
	return err
}

// StreamInterceptor is a [grpc.StreamClientInterceptor]. It sends the waybill as it is when the stream is
// opened, and merges the returned token before the caller sees the end of the stream.
func (c *Client) StreamInterceptor(
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

// resultOf returns the result of a call that ended with err.
func resultOf(err error) waybill.Result {
	if err != nil {
		return waybill.Failed
	}
	return waybill.Succeeded
}

// pinned reports whether an outer Client handles the call already.
func pinned(opts []grpc.CallOption) bool {
	_, ok := credentialsOf(opts).(*outgoing)
	return ok
}

// pin returns the call with its token, or nil if the call goes on without one.
func (c *Client) pin(ctx context.Context, method string, cc *grpc.ClientConn, opts []grpc.CallOption) (*outgoing, error) {
	if c.auth == nil {
		return nil, status.Error(codes.Internal, "waybillgrpc: Client was not made by NewClient")
	}
	if c.skip(method) {
		return nil, nil
	}
	call, err := c.auth.Send(ctx)
	if err == nil {
		return &outgoing{Client: c, call: call, cc: cc, method: method, next: credentialsOf(opts)}, nil
	}
	c.rec.Injected(ctx, err)
	if _, none := waybill.FromContext(ctx); none == nil && errors.Is(err, waybill.ErrExpired) {
		return nil, expiredError{}
	}
	return nil, nil
}

// withoutWaybill returns ctx without a waybill in its outgoing metadata: only the pinned token is sent.
func withoutWaybill(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok || md[waybill.Header] == nil && md[waybill.HeaderReturn] == nil {
		return ctx
	}
	delete(md, waybill.Header)
	delete(md, waybill.HeaderReturn)
	return metadata.NewOutgoingContext(ctx, md)
}

// merge merges the token in the call's trailer.
func (o *outgoing) merge(ctx context.Context, trailer metadata.MD, result waybill.Result) {
	values := trailer[waybill.HeaderReturn]
	if len(values) == 0 || !o.sent.Load() {
		return
	}
	outcome, err := o.call.Merge(values, result, o.accept...)
	o.rec.Merged(ctx, outcome, err)
}

// clientStream merges the returned token when the stream ends. It does so in RecvMsg and not in a
// grpc.OnFinish callback: older versions of gRPC call that before the trailer is available, and newer
// ones concurrently with the RecvMsg that reports the end.
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
		if err == io.EOF {
			err = nil
		}
		s.out.merge(s.ctx, s.ClientStream.Trailer(), resultOf(err))
	}
	hideReturn(s.opts)
}

func (s *clientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return withoutReturn(md), err
}

func (s *clientStream) Trailer() metadata.MD { return withoutReturn(s.ClientStream.Trailer()) }
