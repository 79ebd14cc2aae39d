package grpctest

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
)

// A server that limits the age of its connections lets a stream bring its update home, unless it limits the grace too: then
// the stream ends without a trailer.
func TestMaxConnectionAge(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		code  codes.Code
		seats int
	}{
		{"without-limit-of-grace", 0, codes.OK, 5},
		{"grace-over", time.Millisecond, codes.Unavailable, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they wait
			auth := authority(t)
			entered, release := make(chan struct{}), make(chan struct{})
			target := serveOn(t, &fourKinds{handle: func(ctx context.Context) error {
				change(t, ctx)
				close(entered)
				<-release
				return nil
			}}, append(serverOptions(auth), grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: time.Second, MaxConnectionAgeGrace: tt.grace,
			}))...)
			client := dial(t, target, dialOptions(auth, allow)...)
			ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
			if err != nil {
				t.Fatal(err)
			}
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := echo(stream); err != nil {
				t.Fatal(err)
			}
			<-entered
			if tt.code == codes.OK {
				on, _ := peer.FromContext(stream.Context())
				moved(t, client, on.LocalAddr.String())
				close(release)
			} else {
				defer close(release)
			}
			if err := drain(stream.Recv); status.Code(err) != tt.code {
				t.Errorf("end of the stream: got %v, want %v", err, tt.code)
			}
			if seats, _ := Seats.Get(ctx); seats != tt.seats {
				t.Errorf("seats: got %d, want %d; lost: %v", seats, tt.seats, waybill.Lost(ctx))
			}
		})
	}
}

// moved waits until new calls go over another connection.
func moved(t *testing.T, client grpc_testing.TestServiceClient, from string) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
		var on peer.Peer
		if _, err := client.EmptyCall(t.Context(), &grpc_testing.Empty{}, grpc.Peer(&on)); err != nil {
			t.Fatal(err)
		}
		if on.LocalAddr.String() != from {
			return
		}
	}
	t.Fatal("the connection does not age")
}
