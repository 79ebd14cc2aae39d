package waybillgrpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// TestConstructors: every mistake is the constructor's error, and says what to do.
func TestConstructors(t *testing.T) {
	auth := authority(t)
	for _, test := range []struct {
		name string
		make func() (any, error)
		want string
	}{
		{"server without Authority", func() (any, error) { return waybillgrpc.NewServer(nil) }, "waybill.New"},
		{"client without Authority", func() (any, error) { return waybillgrpc.NewClient(nil) }, "waybill.New"},
		{"server skips by nothing", func() (any, error) { return waybillgrpc.NewServer(auth, waybillgrpc.Skip(nil)) }, "Skip needs a function"},
		{"client skips by nothing", func() (any, error) { return waybillgrpc.NewClient(auth, waybillgrpc.Skip(nil)) }, "Skip needs a function"},
		{"peers approved by nothing", func() (any, error) { return waybillgrpc.NewClient(auth, waybillgrpc.OnlyPeers(nil)) }, "OnlyPeers needs a function"},
	} {
		made, err := test.make()
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "waybillgrpc: ") {
			t.Errorf("%s: got %v, %v, want an error with %q", test.name, made, err, test.want)
		}
	}
}

// TestZeroValues: what no constructor made lets no call pass, and says why.
func TestZeroValues(t *testing.T) {
	var server waybillgrpc.Server
	_, err := server.UnaryInterceptor(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
		t.Error("the zero Server ran a handler")
		return nil, nil
	})
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "NewServer") {
		t.Errorf("zero Server: got %v, want an error that names NewServer", err)
	}
	var client waybillgrpc.Client
	err = client.UnaryInterceptor(t.Context(), "/a.B/C", nil, nil, nil,
		func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			t.Error("the zero Client called")
			return nil
		})
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "NewClient") {
		t.Errorf("zero Client: got %v, want an error that names NewClient", err)
	}
}
