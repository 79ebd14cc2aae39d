package waybillgrpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
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
// opened, and merges the returned token before the caller sees the end of the stream. If the caller gives
// the stream up, a token that has already arrived is merged; otherwise the stream counts as unread.
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
	s := &clientStream{ctx: ctx, cc: cc, out: out, opts: opts, single: !desc.ServerStreams}
	if out != nil {
		opts = append(slices.Clip(opts), grpc.PerRPCCredentials(out), grpc.OnFinish(s.finished))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if !ok || !removed(md) {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// merge merges the token in the call's trailer. It reports whether there is one.
func (o *outgoing) merge(ctx context.Context, trailer metadata.MD, result waybill.Result) bool {
	values := trailer[waybill.HeaderReturn]
	if len(values) == 0 || !o.sent.Load() {
		return false
	}
	outcome, err := o.call.Merge(values, result, o.accept...)
	o.rec.Merged(ctx, outcome, err)
	return true
}

// unread counts a stream whose end was not read.
func (o *outgoing) unread(ctx context.Context) {
	if o.sent.Load() {
		o.rec.Returned(ctx, telemetry.Unread)
		o.call.Unread()
	}
}

// clientStream merges the returned token when the stream ends. RecvMsg does so for streams that are read
// to their end, and finished for those that the caller gives up.
type clientStream struct {
	grpc.ClientStream
	ctx    context.Context
	cc     *grpc.ClientConn
	out    *outgoing // nil: the call carries no waybill
	opts   []grpc.CallOption
	single bool // the server sends one message, which ends the stream

	mu    sync.Mutex // held while the stream is opened or read
	ended bool
}

func (s *clientStream) RecvMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.ClientStream.RecvMsg(m)
	if err != nil || s.single {
		s.end(err)
	}
	return err
}

// end merges the returned token, once. The caller holds mu, and gRPC has finished the stream.
func (s *clientStream) end(err error) {
	if s.ended {
		return
	}
	s.ended = true
	if s.out != nil {
		if err == io.EOF {
			err = nil
		}
		if !s.out.merge(s.ctx, s.ClientStream.Trailer(), resultOf(err)) && s.gaveUp(err) {
			s.out.unread(s.ctx)
		}
	}
	hideReturn(s.opts)
}

// gaveUp reports whether the caller gave the stream up, so that the error is not the server's: its context
// ended, or it closed the connection.
func (s *clientStream) gaveUp(err error) bool {
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded:
		return s.ctx.Err() != nil || s.cc != nil && s.cc.GetState() == connectivity.Shutdown
	}
	return false
}

// finished is the callback of [grpc.OnFinish]. For streams that are read to their end RecvMsg does the
// work: it knows the status of the server. The trailer is not available yet, because older versions of gRPC
// call finished with the stream's lock held, before they close the stream. Trailer waits for that lock, and
// so returns what arrived before the stream was closed.
func (s *clientStream) finished(err error) {
	if s.gaveUp(err) {
		go func() {
			s.mu.Lock() // waits for a RecvMsg in progress, which fails
			defer s.mu.Unlock()
			if s.ClientStream != nil {
				s.end(err)
			}
		}()
	}
}

func (s *clientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return withoutReturn(md), err
}

func (s *clientStream) Trailer() metadata.MD { return withoutReturn(s.ClientStream.Trailer()) }
