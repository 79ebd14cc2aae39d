package waybillgrpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// The log names the claim that a refused call lacks. The wire does not.
func TestMissingClaimIsNamedInTheLog(t *testing.T) {
	auth := authority(t)
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	target := serve(t, func(context.Context) error { return nil },
		serverOptions(auth, waybillgrpc.RequireClaims(Cell), waybillgrpc.Logger(logger))...)
	client := dial(t, target, dialOptions(auth, waybillgrpc.AllowPlaintext())...)
	_, err := unary(start(t, auth), client)
	if status.Code(err) != codes.PermissionDenied || strings.Contains(err.Error(), "cell") {
		t.Errorf("got %v, want %v without the name of the claim", err, codes.PermissionDenied)
	}
	if got := text.String(); !strings.Contains(got, "required claim missing: cell") {
		t.Errorf("the log is %q, want it to name the claim", got)
	}
}

// A call over a connection in plaintext logs once what to do.
func TestPlaintextNamesTheOption(t *testing.T) {
	auth := authority(t)
	var text bytes.Buffer
	target := serve(t, func(context.Context) error { return nil })
	client := dial(t, target, dialOptions(auth, waybillgrpc.Logger(slog.New(slog.NewTextHandler(&text, nil))))...)
	for range 2 {
		if _, err := unary(start(t, auth), client); err != nil {
			t.Fatal(err)
		}
	}
	if got := text.String(); strings.Count(got, "AllowPlaintext") != 1 || !strings.Contains(got, target) {
		t.Errorf("the log is %q, want one line that names %s and AllowPlaintext", got, target)
	}
}
