package carriers

import (
	"context"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestGRPCUnary(t *testing.T) { waybilltest.CheckCarrier(t, overGRPC{unary}.carrier()) }

func TestGRPCStream(t *testing.T) { waybilltest.CheckCarrier(t, overGRPC{stream}.carrier()) }

// overGRPC makes calls of one kind.
type overGRPC struct {
	kind func(context.Context, grpc_testing.TestServiceClient) (header, trailer metadata.MD, err error)
}

func (o overGRPC) carrier() waybilltest.Carrier {
	return waybilltest.Carrier{Call: o.call, Raw: o.raw, Answer: o.answer}
}

func unary(ctx context.Context, c grpc_testing.TestServiceClient) (header, trailer metadata.MD, err error) {
	_, err = c.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	return header, trailer, err
}

// stream exchanges one message in both directions, and reads to the end.
func stream(ctx context.Context, c grpc_testing.TestServiceClient) (header, trailer metadata.MD, err error) {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.Send(&grpc_testing.StreamingOutputCallRequest{}) // receiving tells why it failed
	s.CloseSend()
	for err == nil {
		_, err = s.Recv()
	}
	if err == io.EOF {
		err = nil
	}
	header, _ = s.Header()
	return header, s.Trailer(), err
}

type service struct {
	grpc_testing.UnimplementedTestServiceServer
	handle func(ctx context.Context) error
}

func (s *service) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, s.handle(ctx)
}

func (s *service) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	return s.handle(stream.Context())
}

// recovered is what stands further out than the interceptors under test.
func recovered(err *error) {
	if recover() != nil {
		*err = status.Error(codes.Internal, "panic")
	}
}

var recovery = []grpc.ServerOption{
	grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (_ any, err error) {
		defer recovered(&err)
		return h(ctx, req)
	}),
	grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
		defer recovered(&err)
		return h(srv, s)
	}),
}

// dial starts a server and connects to it; stop ends both.
func dial(handle func(context.Context) error, server []grpc.ServerOption, client []grpc.DialOption) (c grpc_testing.TestServiceClient, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s := grpc.NewServer(append(recovery[:len(recovery):len(recovery)], server...)...)
	grpc_testing.RegisterTestServiceServer(s, &service{handle: handle})
	go s.Serve(listener) // ends with Stop
	conn, err := grpc.NewClient(listener.Addr().String(), append(client, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		s.Stop()
		return nil, nil, err
	}
	return grpc_testing.NewTestServiceClient(conn), func() { conn.Close(); s.Stop() }, nil
}

func handler(s waybilltest.Service) func(context.Context) error {
	return func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		return s.Handle(ctx, lower(md))
	}
}

// do makes one call.
func (o overGRPC) do(
	ctx context.Context, handle func(context.Context) error, server []grpc.ServerOption, client []grpc.DialOption,
) (waybilltest.Headers, error) {
	c, stop, err := dial(handle, server, client)
	if err != nil {
		return nil, err
	}
	defer stop()
	ctx, cancel := waiting(ctx)
	defer cancel()
	header, trailer, err := o.kind(ctx, c)
	return lower(metadata.Join(header, trailer)), err
}

func (o overGRPC) call(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
	return o.do(ctx, handler(s), must(waybillgrpc.NewServer(s.Auth)).ServerOptions(), must(waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())).DialOptions())
}

func (o overGRPC) raw(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD(h))
	return o.do(ctx, handler(s), must(waybillgrpc.NewServer(s.Auth)).ServerOptions(), nil)
}

func (o overGRPC) answer(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	peer := func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		return grpc.SetTrailer(ctx, metadata.MD(answer(lower(md))))
	}
	_, err := o.do(ctx, peer, nil, must(waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())).DialOptions())
	return err
}
