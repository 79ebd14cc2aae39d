package waybillgrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// booking is a service whose handlers read and change claims.
type booking struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (booking) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	cell, _ := Cell.Get(ctx)
	fmt.Println("the handler is in the journey's cell:", cell)
	if err := waybill.Update(ctx, Seats.To(2)); err != nil {
		return nil, err
	}
	return &grpc_testing.SimpleResponse{}, nil
}

// ring makes the keys of an example. Services share theirs: see package keyring.
func ring(domain string) *keyring.Ring {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	set, err := keyring.NewSet(domain, key)
	if err != nil {
		log.Fatal(err)
	}
	return keyring.NewRing(set)
}

// A handler reads the claims of its caller's waybill, and what it changes is in the caller's context after the call.
func Example() {
	auth, err := waybill.New("shop", ring("shop"), waybill.Claims(Cell, Seats))
	if err != nil {
		log.Fatal(err)
	}

	// The server.
	incoming, err := waybillgrpc.NewServer(auth, waybillgrpc.Required())
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(incoming.ServerOptions()...)
	grpc_testing.RegisterTestServiceServer(server, booking{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	// The client. Without AllowPlaintext, waybills are sent over TLS only.
	outgoing, err := waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())
	if err != nil {
		log.Fatal(err)
	}
	opts := append(outgoing.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(listener.Addr().String(), opts...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	ctx, err := auth.Start(context.Background(), Cell.To("eu-3"), Seats.To(1))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, &grpc_testing.SimpleRequest{}); err != nil {
		log.Fatal(err)
	}
	seats, _ := Seats.Get(ctx)
	fmt.Println("the caller has seats:", seats)

	// Output:
	// the handler is in the journey's cell: eu-3
	// the caller has seats: 2
}

// A client without waybills learns why it was refused from the status alone.
func ExampleServer_refusal() {
	auth, err := waybill.New("shop", ring("shop"))
	if err != nil {
		log.Fatal(err)
	}
	incoming, err := waybillgrpc.NewServer(auth, waybillgrpc.Required())
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(incoming.ServerOptions()...)
	grpc_testing.RegisterTestServiceServer(server, booking{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_testing.NewTestServiceClient(conn).UnaryCall(context.Background(), &grpc_testing.SimpleRequest{})

	fmt.Println(status.Code(err))
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == waybillgrpc.ErrorDomain {
			fmt.Println("reason:", info.GetReason())
		}
	}

	// Output:
	// Unauthenticated
	// reason: absent
}
