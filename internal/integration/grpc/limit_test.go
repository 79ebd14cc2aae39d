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
)

// limitEnv sets the header list limit that other implementations have and that grpc-go moves to. It is read when the
// process starts.
const limitEnv = "GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE"

// With the limit of 8 KiB, a header list over it fails its call, or takes the connection down and every other call on it.
// Neither a token nor an update is ever the reason: the token is held back, the update stays behind.
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
		name             string
		request, trailer int // bytes of the caller's and the handler's own
		sent             bool
		seats            int
	}{
		{"token-fits", 5200, 0, true, 5},
		{"token-over", 7400, 0, false, 1},
		{"update-fits", 0, 5600, true, 5},
		{"update-over", 0, 7600, true, 1},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+"/"+kind.name, func(t *testing.T) {
				target := serve(t, func(ctx context.Context) error {
					if got := incoming(ctx, "theirs"); len(got) != 1 || len(got[0]) != tt.request {
						t.Errorf("handler: got %d values of the caller's", len(got))
					}
					if err := grpc.SetTrailer(ctx, metadata.Pairs("theirs", strings.Repeat("x", tt.trailer))); err != nil {
						t.Error(err)
					}
					_, err := waybill.FromContext(ctx)
					if (err == nil) != tt.sent {
						t.Errorf("handler: got a waybill that is %q, with one that fits: %v", waybill.Reason(err), tt.sent)
					}
					if err == nil {
						return waybill.Update(ctx, Seats.To(5))
					}
					return nil
				}, serverOptions(auth)...)
				client := dial(t, target, dialOptions(auth, allow)...)
				ctx, err := auth.Start(t.Context(), Seats.To(1), Cell.To(strings.Repeat("x", 1200)))
				if err != nil {
					t.Fatal(err)
				}
				innocent, err := client.FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), "theirs", ""))
				if err != nil {
					t.Fatal(err)
				}
				if err := echo(innocent); err != nil {
					t.Fatal(err)
				}
				before := counts(t)
				call := metadata.AppendToOutgoingContext(ctx, "theirs", strings.Repeat("x", tt.request))
				if err := kind.call(call, client); err != nil {
					t.Errorf("call: %v", err)
				}
				if seats, _ := Seats.Get(ctx); seats != tt.seats {
					t.Errorf("seats: got %d, want %d", seats, tt.seats)
				}
				want := map[string]int64{"waybill.open ok": 1, "waybill.inject sent": 1}
				switch {
				case !tt.sent:
					want = map[string]int64{"waybill.open absent": 1, "waybill.inject too_large": 1}
				case tt.seats == 1:
					want["waybill.return too_large"] = 1
				default:
					want["waybill.return answered"], want["waybill.return merged"] = 1, 1
				}
				since(t, before, want)
				if err := echo(innocent); err != nil {
					t.Errorf("the other stream on the connection: %v", err)
				}
			})
		}
	}
}
