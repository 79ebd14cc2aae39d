package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/waybill-go/waybill/waybilltest"
)

// The module works in Node.js, too, and sends tokens to its origin only.
func TestNode(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the browser tests are long")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED LOUDLY: there is no node on the path, so the module has not run in it; apt-get install nodejs")
	}
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authorities, cert.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	other := serve(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waybilltest.NewCanary(t).Handler("another origin").ServeHTTP(w, r)
		fmt.Fprintf(w, "%s %d", r.URL.Path, len(r.Header.Values("Waybill")))
	}))
	var replicas []http.Handler
	for _, h := range newScene(t).replicas() {
		mux := http.NewServeMux()
		mux.Handle("/", h)
		mux.Handle("/away", http.RedirectHandler(other.local+"/away", http.StatusSeeOther))
		replicas = append(replicas, mux)
	}
	s := serve(t, 1, replicas...)
	cmd := exec.CommandContext(t.Context(), node, "testdata/node.mjs")
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authorities, "SITE="+s.local, "OTHER="+other.local+"/direct")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type outcome struct {
		Acknowledged, Claims   int
		Redirected, Unsent     bool
		Aborted, Left, Foreign string
	}
	var got outcome
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := outcome{
		Acknowledged: 40, Claims: 40, Redirected: true, Unsent: true,
		Aborted: "changed my mind", Left: "refused", Foreign: "/direct 0",
	}
	if got != want {
		t.Errorf("outcome:\n%+v, want\n%+v", got, want)
	}
	if n := len(other.requests()); n != 1 {
		t.Errorf("the other origin got %d requests, want 1", n)
	}
	if s.most.tokens > 5 {
		t.Errorf("%d tokens in one request, with 4 requests in flight", s.most.tokens)
	}
}
