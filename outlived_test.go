package waybill_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
)

// TestOutlivedIsLogged checks that the first use of a context after its request is logged with its call
// site, once.
func TestOutlivedIsLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	auth := authority(t)
	ctx, hop := receive(t, auth, issue(t, auth, Cell.To("secret")).Token())
	hop.Commit(waybill.Succeeded)
	for range 3 {
		if _, ok := Cell.Get(ctx); ok {
			t.Fatal("a context that outlives its request shows a claim")
		}
	}
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "outlived_test.go:23") || !strings.Contains(text, "Detach") {
		t.Errorf("got %q, want one line with the call site", text)
	}
	if strings.Contains(text, "secret") {
		t.Error("the log has a claim")
	}
}
