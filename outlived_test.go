package waybill_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
)

// TestOutlivedIsLogged checks that the first use of a context after its request is logged with its call
// site, once in the life of a process. So it needs a process for each run.
func TestOutlivedIsLogged(t *testing.T) {
	if os.Getenv("WAYBILL_TEST_OUTLIVED") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutlivedIsLogged$", "-test.count=1")
		cmd.Env = append(os.Environ(), "WAYBILL_TEST_OUTLIVED=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	auth := authority(t)
	ctx, hop := receive(t, auth, issue(t, auth, Cell.To("secret")).Token())
	hop.Commit(waybill.Succeeded)
	_, _, line, _ := runtime.Caller(0)
	for range 3 {
		if _, ok := Cell.Get(ctx); ok { // two lines further down
			t.Fatal("a context that outlives its request shows a claim")
		}
	}
	text := log.String()
	site := fmt.Sprintf("outlived_test.go:%d", line+2)
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, site) || !strings.Contains(text, "Detach") {
		t.Errorf("got %q, want one line with the call site %s", text, site)
	}
	if strings.Contains(text, "secret") {
		t.Error("the log has a claim")
	}
}
