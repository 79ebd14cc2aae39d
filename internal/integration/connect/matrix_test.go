package connecttest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/grpc/codes"

	"github.com/waybill-go/waybill"
)

// pairs are clients, servers and protocols. grpc-go speaks only gRPC.
var pairs = []struct {
	name   string
	server func(t *testing.T, auth *waybill.Authority, h handle) server
	client func(t *testing.T, auth *waybill.Authority, s server) client
}{
	{"Connect/connect-go-to-connect-go", connectGo, connectWith()},
	{"Connect/connect-go-to-connect-go-HTTP1", connectGoHTTP1, connectWith()},
	{"gRPC/connect-go-to-connect-go", connectGo, connectWith(connecthttp.WithGRPC())},
	{"gRPC/connect-go-to-grpc-go", grpcGo, connectWith(connecthttp.WithGRPC())},
	{"gRPC/grpc-go-to-connect-go", connectGo, newGRPCClient},
	{"gRPC/grpc-go-to-grpc-go", grpcGo, newGRPCClient},
	{"gRPC-Web/connect-go-to-connect-go", connectGo, connectWith(connecthttp.WithGRPCWeb())},
	{"gRPC-Web/connect-go-to-connect-go-HTTP1", connectGoHTTP1, connectWith(connecthttp.WithGRPCWeb())},
}

// For every pair, the handler reads the claims, and the caller sees its changes when the call ends.
func TestMatrix(t *testing.T) {
	for _, pair := range pairs {
		protocol, _, _ := strings.Cut(pair.name, "/")
		for _, call := range []struct {
			name   string
			make   func(client, context.Context) ([]string, codes.Code)
			code   codes.Code
			booked bool // a change for successful calls has arrived
		}{
			{"unary", client.unary, codes.OK, true},
			{"unary-error", client.unary, codes.NotFound, false},
			{"stream", client.stream, codes.OK, true},
			// The status of a Connect or gRPC-Web stream is in its body: for HTTP the call succeeded.
			{"stream-error", client.stream, codes.NotFound, protocol != "gRPC"},
		} {
			t.Run(pair.name+"/"+call.name, func(t *testing.T) {
				auth := authority(t)
				s := pair.server(t, auth, func(ctx context.Context) codes.Code {
					if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
						t.Errorf("handler: cell is %q (%v), want eu-3", cell, err)
					}
					if err := waybill.Update(ctx, Seats.To(5), Booked.To(true)); err != nil {
						t.Error(err)
					}
					return call.code
				})
				ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				names, code := call.make(pair.client(t, auth, s), ctx)
				if code != call.code {
					t.Fatalf("call: got %v, want %v", code, call.code)
				}
				if seats, _ := Seats.Get(ctx); seats != 5 {
					t.Errorf("seats after the call: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
				}
				if booked, _ := Booked.Get(ctx); booked != call.booked {
					t.Errorf("booked after the call: got %v, want %v", booked, call.booked)
				}
				if slices.Contains(names, waybill.HeaderReturn) || slices.Contains(names, waybill.Header) {
					t.Errorf("the caller sees a token among %v", names)
				}
			})
		}
	}
}

func connectWith(opts ...connecthttp.Option) func(*testing.T, *waybill.Authority, server) client {
	return func(t *testing.T, auth *waybill.Authority, s server) client {
		return newConnectClient(t, auth, s, opts...)
	}
}

// Every client sees the same code for a refusal, from either server.
func TestRefusal(t *testing.T) {
	for _, pair := range pairs {
		t.Run(pair.name, func(t *testing.T) {
			s := pair.server(t, authority(t), func(context.Context) codes.Code {
				t.Error("the handler runs")
				return codes.OK
			})
			client := pair.client(t, authority(t), s)
			for name, call := range map[string]func(context.Context) ([]string, codes.Code){
				"unary": client.unary, "stream": client.stream,
			} {
				if _, code := call(t.Context()); code != codes.Unauthenticated {
					t.Errorf("%s without a waybill: got %v, want %v", name, code, codes.Unauthenticated)
				}
			}
		})
	}
}
