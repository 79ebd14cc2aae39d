package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/drive"
)

// TestDrive sends travellers to a fleet that somebody else runs: all is well first, and then what stands in between throws
// a single answer's waybill away.
func TestDrive(t *testing.T) {
	cmd, _ := command(t)
	fleet := serve(t, cmd)
	for _, c := range []struct {
		name string
		drop bool
		exit int
	}{{"all is well", false, 0}, {"an update is lost", true, 1}} {
		report, said, exit := travel(t, between(t, fleet, c.drop))
		if exit != c.exit || report.OK != (c.exit == 0) || (report.Lost > 0) != c.drop {
			t.Errorf("%s: exit code %d, ok %v, lost %d; want %d\n%s", c.name, exit, report.OK, report.Lost, c.exit, said)
		}
		if report.Started == 0 || report.Steps == 0 || len(report.Replicas) == 0 || len(report.Keys) == 0 {
			t.Errorf("%s: the report is empty: %+v", c.name, report)
		}
		if !strings.Contains(said, "lost: ") {
			t.Errorf("%s: no verdict is printed:\n%s", c.name, said)
		}
	}
}

// travel drives for two seconds.
func travel(t *testing.T, url string) (r drive.Report, said string, exit int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	cmd, _ := command(t, "drive", "--url", url, "--seconds", "2", "--rate", "5", "--report", path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run() // its exit code says it
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no report: %v\n%s", err, &out)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r, out.String(), cmd.ProcessState.ExitCode()
}

// between returns the URL of a proxy before the fleet that drops, if it shall, the update of one change of currency: the
// journey goes on with the waybill of before.
func between(t *testing.T, fleet string, drop bool) string {
	to, err := url.Parse(fleet)
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(res *http.Response) error {
			if drop && res.Request.URL.Path == "/currency" && done.CompareAndSwap(false, true) {
				res.Header.Del(waybill.HeaderUpdate)
			}
			return nil
		},
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestStackUsage checks what the commands of the compose stack say when they are used wrongly.
func TestStackUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"run", "want the role of a service: "},
		{"run nobody", "want the role of a service: "},
		{"run cart --secrets /nowhere", `has "demo init" run?`},
		{"init", "want the directory"},
		{"init /nowhere", "/nowhere/"},
		{"operator burn", "want one of: declare, status, rotate, revoke KID, audit"},
		{"drive --rate 0", "--rate between 0 and 1000"},
		{"drive --url ftp://x", "want one such as http://127.0.0.1:7718"},
		{"drive now", `what is "now" for?`},
		{"healthcheck", "connection refused"},
	} {
		cmd, _ := command(t, strings.Fields(c.args)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("demo %s: %v, %q; want a failure with %q", c.args, err, out, c.want)
		}
	}
}
