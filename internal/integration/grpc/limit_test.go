package grpctest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// limitEnv sets the header list limit that other implementations have and that grpc-go moves to. It is read when the
// process starts.
const limitEnv = "GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE"

// With the limit of 8 KiB, a trailer over it takes the connection down, and every other call on it. An update is never the
// reason: it stays behind.
func TestInnocentStream(t *testing.T) {
	if os.Getenv(limitEnv) != "true" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestInnocentStream$", "-test.v")
		cmd.Env = append(os.Environ(), limitEnv+"=true")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestInnocentStream") {
			t.Fatalf("with %s: %v\n%s", limitEnv, err, out)
		}
		return
	}
	auth := authority(t)
	for _, tt := range []struct {
		name  string
		bytes int // of the handler's own trailer
		seats int
	}{
		{"fits", 7000, 5},
		{"does not fit", 7800, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := serve(t, func(ctx context.Context) error {
				if err := grpc.SetTrailer(ctx, metadata.Pairs("theirs", strings.Repeat("x", tt.bytes))); err != nil {
					t.Error(err)
				}
				return waybill.Update(ctx, Seats.To(5))
			}, waybillgrpc.ServerOptions(auth)...)
			client := dial(t, target, waybillgrpc.DialOptions(auth, allow)...)
			ctx, err := auth.Start(t.Context(), Seats.To(1))
			if err != nil {
				t.Fatal(err)
			}
			innocent, err := client.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := echo(innocent); err != nil {
				t.Fatal(err)
			}
			if err := unary(ctx, client); err != nil {
				t.Errorf("call: %v", err)
			}
			if seats, _ := Seats.Get(ctx); seats != tt.seats {
				t.Errorf("seats: got %d, want %d", seats, tt.seats)
			}
			if err := echo(innocent); err != nil {
				t.Errorf("the other stream on the connection: %v", err)
			}
		})
	}
}
