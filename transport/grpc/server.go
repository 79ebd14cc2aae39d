package waybillgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// Server opens the waybills of incoming calls. It is safe for concurrent use. [NewServer] makes one; the
// zero Server fails every call.
type Server struct {
	common
	rules admission.Rules
}

// NewServer returns a Server for services of the Authority's trust domain. It returns an error if auth is
// nil or an option is invalid.
func NewServer(auth *waybill.Authority, opts ...ServerOption) (*Server, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	s := &Server{common: common}
	for _, o := range opts {
		if err := o.applyServer(s); err != nil {
			return nil, err
		}
	}
	s.record()
	return s, nil
}

// ServerOptions returns both server interceptors as options, chained with those of other options.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.UnaryInterceptor),
		grpc.ChainStreamInterceptor(s.StreamInterceptor),
	}
}

// UnaryInterceptor is a [grpc.UnaryServerInterceptor]. It opens the waybill of a call, applies the
// server's rules, and sends back what the handler changed.
func (s *Server) UnaryInterceptor(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (resp any, err error) {
	err = s.serve(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		resp, err = handler(ctx, req)
		return err
	})
	return resp, err
}

// StreamInterceptor is a [grpc.StreamServerInterceptor]. The waybill is judged once, when the stream
// opens, and changes are sent back when it ends.
func (s *Server) StreamInterceptor(
	srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	return s.serve(ss.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &serverStream{ss, ctx})
	})
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// serve handles one call. Of nested interceptors, the outermost one ends the hop; each applies its own
// rules.
func (s *Server) serve(ctx context.Context, method string, handle func(context.Context) error) error {
	if s.auth == nil {
		return status.Error(codes.Internal, "waybillgrpc: Server was not made by NewServer")
	}
	values := metadata.ValueFromIncomingContext(ctx, waybill.Header)
	ctx = stripped(ctx, values)
	if s.skip(method) {
		return handle(ctx)
	}
	// The stream identifies the call: contexts are inherited, also by calls inside one process.
	stream := grpc.ServerTransportStreamFromContext(ctx)
	ctx, hop := s.auth.Receive(ctx, values, stream)
	s.rec.Opened(ctx, hop)
	hop.Stripped(stream)
	if err := s.rules.Admit(ctx, s.rec); err != nil {
		if hop.Outermost() {
			hop.Discard()
		}
		s.logger.DebugContext(ctx, "waybill: call refused", "method", method, "reason", waybill.Reason(err), "error", err)
		return refusal(err)
	}
	if !hop.Outermost() {
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
	s.answer(ctx, hop, err)
	return err
}

// stripped returns ctx without our names in its metadata: handlers copy their metadata into calls.
func stripped(ctx context.Context, values []string) context.Context {
	if values == nil && metadata.ValueFromIncomingContext(ctx, waybill.HeaderReturn) == nil &&
		metadata.ValueFromIncomingContext(ctx, hopHeader) == nil {
		return ctx
	}
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	removed(md)
	return metadata.NewIncomingContext(ctx, md)
}

// answer ends the hop and puts the returned token into the trailer, if it fits.
func (s *Server) answer(ctx context.Context, hop waybill.Hop, err error) {
	tokens := hop.Commit(resultOf(err))
	if tokens == nil {
		return
	}
	outcome := telemetry.Answered
	switch {
	case !fits(ctx, tokens, err):
		outcome = telemetry.TooLarge
	case grpc.SetTrailer(ctx, metadata.MD{waybill.HeaderReturn: tokens}) != nil:
		outcome = telemetry.TooLate // the call is over, and its client is gone
	}
	s.rec.Returned(ctx, outcome)
}
