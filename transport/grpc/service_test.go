package waybillgrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Stops  = waybill.NewClaim[[]string]("stops").Merge(waybill.Union)
	Booked = waybill.NewClaim[bool]("booked").OnSuccess()
)

func authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, append(opts, waybill.Claims(Cell, Seats, Stops, Booked))...)
}

// start returns the context of a caller on a journey.
func start(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) context.Context {
	t.Helper()
	ctx, err := auth.Start(t.Context(), changes...)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func token(t testing.TB, ctx context.Context) string {
	t.Helper()
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

// service runs one handler for all kinds of calls. Streams send a message before it runs, where their kind can.
type service struct {
	grpc_testing.UnimplementedTestServiceServer
	handle func(ctx context.Context) error
}

func (s *service) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if err := s.handle(ctx); err != nil {
		return nil, err
	}
	return &grpc_testing.SimpleResponse{}, nil
}

func (s *service) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	for {
		if _, err := stream.Recv(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := s.handle(stream.Context()); err != nil {
		return err
	}
	return stream.SendAndClose(&grpc_testing.StreamingInputCallResponse{})
}

func (s *service) StreamingOutputCall(
	_ *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer,
) error {
	if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	return s.handle(stream.Context())
}

func (s *service) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return s.handle(stream.Context())
		} else if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// call makes a call of one kind and reads it to its end. Of a stream it also returns what Header and Trailer give.
type call func(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (seen, error)

type seen struct{ header, trailer metadata.MD }

var kinds = []struct {
	name string
	call call
}{
	{"unary", unary},
	{"client stream", func(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (seen, error) {
		s, err := c.StreamingInputCall(ctx, opts...)
		if err != nil {
			return seen{}, err
		}
		if err := s.Send(&grpc_testing.StreamingInputCallRequest{}); ended(err) != nil {
			return seen{}, err
		}
		_, err = s.CloseAndRecv()
		return see(s), err
	}},
	{"server stream", func(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (seen, error) {
		s, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{}, opts...)
		if err != nil {
			return seen{}, err
		}
		return seeEnd(s, s.Recv)
	}},
	{"bidirectional stream", func(
		ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption,
	) (seen, error) {
		s, err := c.FullDuplexCall(ctx, opts...)
		if err != nil {
			return seen{}, err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallRequest{}); ended(err) != nil {
			return seen{}, err
		}
		if err := s.CloseSend(); err != nil {
			return seen{}, err
		}
		return seeEnd(s, s.Recv)
	}},
}

func unary(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) (seen, error) {
	_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, opts...)
	return seen{}, err
}

// seeEnd reads a stream to its end, and once more.
func seeEnd(s grpc.ClientStream, recv func() (*grpc_testing.StreamingOutputCallResponse, error)) (seen, error) {
	for {
		if _, err := recv(); err != nil {
			if _, again := recv(); status.Code(again) != status.Code(err) {
				return seen{}, fmt.Errorf("receiving after the end: got %w, want %w", again, err)
			}
			return see(s), ended(err)
		}
	}
}

func see(s grpc.ClientStream) seen {
	header, _ := s.Header()
	return seen{header, s.Trailer()}
}

// ended returns the error of a stream whose end is not one. Where sending ends, receiving tells why.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// serve runs handle as a service on the loopback interface, and returns its address.
func serve(t testing.TB, handle func(ctx context.Context) error, opts ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, listener, handle, opts...)
	return listener.Addr().String()
}

func serveOn(t testing.TB, listener net.Listener, handle func(ctx context.Context) error, opts ...grpc.ServerOption) {
	t.Helper()
	server := grpc.NewServer(opts...)
	grpc_testing.RegisterTestServiceServer(server, &service{handle: handle})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// dial connects in plaintext, unless opts have other credentials.
func dial(t testing.TB, target string, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn)
}

// pair is a server with our interceptors, and a client of it with ours: allowed in plaintext.
func pair(t testing.TB, auth *waybill.Authority, handle func(ctx context.Context) error, opts ...grpc.DialOption,
) grpc_testing.TestServiceClient {
	t.Helper()
	target := serve(t, handle, serverOptions(auth)...)
	return dial(t, target, slices.Concat(dialOptions(auth, waybillgrpc.AllowPlaintext()), opts)...)
}

// certificate returns what a server on the loopback interface and its client need for TLS.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "shop.internal", Path: "/pricing"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots}
}

func withTLS(c *tls.Config) grpc.DialOption {
	return grpc.WithTransportCredentials(credentials.NewTLS(c))
}

// serverOptions are the options of a Server that opts suit.
func serverOptions(auth *waybill.Authority, opts ...waybillgrpc.ServerOption) []grpc.ServerOption {
	return newServer(auth, opts...).ServerOptions()
}

func newServer(auth *waybill.Authority, opts ...waybillgrpc.ServerOption) *waybillgrpc.Server {
	s, err := waybillgrpc.NewServer(auth, opts...)
	if err != nil {
		panic(err)
	}
	return s
}

// dialOptions are the options of a Client that opts suit.
func dialOptions(auth *waybill.Authority, opts ...waybillgrpc.ClientOption) []grpc.DialOption {
	return newClient(auth, opts...).DialOptions()
}

func newClient(auth *waybill.Authority, opts ...waybillgrpc.ClientOption) *waybillgrpc.Client {
	c, err := waybillgrpc.NewClient(auth, opts...)
	if err != nil {
		panic(err)
	}
	return c
}
