package page_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// serve serves a page over a real connection.
func serve(t *testing.T, r *recorder) (*page.Page, *httptest.Server) {
	t.Helper()
	p := page.New(r.controls())
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	return p, srv
}

// ask sends a request with headers, "Host" among them, and returns the status and the body.
func ask(t *testing.T, method, url string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	req.Host = req.Header.Get("Host")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestControls(t *testing.T) {
	r := &recorder{}
	_, srv := serve(t, r)
	for path, want := range map[string]string{
		"kill":                  "kill",
		"kill/cart-2":           "kill cart-2",
		"kill/a%2Fb":            "kill a/b",
		"journey/search?to=AMS": "step search to=AMS",
	} {
		r.called = nil
		res, _ := ask(t, "POST", srv.URL+"/api/"+path, nil)
		if got := fmt.Sprint(r.called); res.StatusCode != http.StatusNoContent || got != "["+want+"]" {
			t.Errorf("POST %s: status %d, called %s, want 204 and %s", path, res.StatusCode, got, want)
		}
		r.called = nil
		if res, _ := ask(t, "GET", srv.URL+"/api/"+path, nil); len(r.called) != 0 || res.StatusCode < 400 {
			t.Errorf("GET %s: status %d, called %v; a GET must do nothing", path, res.StatusCode, r.called)
		}
	}
}

func TestErrorsOfControls(t *testing.T) {
	r := &recorder{}
	_, srv := serve(t, r)
	for _, tc := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("cart-9: %w", page.ErrUnknown), http.StatusNotFound},
		{fmt.Errorf("%w: a show is running", page.ErrNotNow), http.StatusConflict},
		{errors.New("broken"), http.StatusInternalServerError},
	} {
		r.err = tc.err
		for _, req := range [][2]string{{"POST", "/api/kill/cart-9"}, {"GET", "/api/trace/1"}} {
			res, body := ask(t, req[0], srv.URL+req[1], nil)
			if res.StatusCode != tc.status || strings.TrimSpace(body) != tc.err.Error() {
				t.Errorf("%s: status %d: %q, want %d: %q", req[1], res.StatusCode, body, tc.status, tc.err)
			}
		}
	}
}

func TestTrace(t *testing.T) {
	r := &recorder{}
	_, srv := serve(t, r)
	_, body := ask(t, "GET", srv.URL+"/api/trace/4bf9", nil)
	var spans []page.Span
	if err := json.Unmarshal([]byte(body), &spans); err != nil || len(spans) != 1 || spans[0].Service != "lb-1" {
		t.Errorf("trace: %q: %v", body, err)
	}
}

func TestReport(t *testing.T) {
	r := &recorder{}
	_, srv := serve(t, r)
	res, body := ask(t, "GET", srv.URL+"/api/report/report.json", nil)
	kind := res.Header.Get("Content-Type")
	if strings.TrimSpace(body) != "{}" || kind != "application/json" || fmt.Sprint(r.called) != "[report]" {
		t.Errorf("report: %q as %s, called %s", body, kind, r.called)
	}
	r.err = page.ErrNotNow
	if res, _ := ask(t, "GET", srv.URL+"/api/report/report.json", nil); res.StatusCode != http.StatusConflict {
		t.Errorf("before there is one: status %d, want 409", res.StatusCode)
	}
}

// Another page in the same browser can send requests here, and a name of its own may lead here. Neither gets anything.
func TestForeignRequestsAreRefused(t *testing.T) {
	r := &recorder{}
	p, srv := serve(t, r)
	p.Publish(page.Snapshot{})
	own := srv.Listener.Addr().String()
	for _, tc := range []struct {
		name, method, path string
		headers            map[string]string
		status             int
	}{
		{"the page itself", "POST", "/api/kill", map[string]string{"Origin": "http://" + own, "Sec-Fetch-Site": "same-origin"}, 204},
		{"no browser", "POST", "/api/kill", nil, 204},
		{"another site", "POST", "/api/kill", map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		{"another port of this machine", "POST", "/api/kill", map[string]string{"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403},
		{"an old browser on another site", "POST", "/api/kill", map[string]string{"Origin": "http://evil.example"}, 403},
		{"a sandboxed frame", "POST", "/api/kill", map[string]string{"Origin": "null"}, 403},
		{"a name that was rebound", "POST", "/api/kill", map[string]string{"Host": "evil.example:7717"}, 421},
		{"a name that was rebound reads", "GET", "/api/snapshot", map[string]string{"Host": "evil.example"}, 421},
		{"a name that was rebound opens the page", "GET", "/", map[string]string{"Host": "localhost.evil.example"}, 421},
		{"an address of the network", "GET", "/", map[string]string{"Host": "192.0.2.1:7717"}, 421},
		{"localhost", "GET", "/api/snapshot", map[string]string{"Host": "localhost:7717"}, 200},
		{"IPv6", "GET", "/api/snapshot", map[string]string{"Host": "[::1]:7717"}, 200},
		{"IPv6 without a port", "GET", "/api/snapshot", map[string]string{"Host": "[::1]"}, 200},
	} {
		r.called = nil
		res, _ := ask(t, tc.method, srv.URL+tc.path, tc.headers)
		if res.StatusCode != tc.status || (len(r.called) > 0) != (tc.status == 204) {
			t.Errorf("%s: status %d, called %v, want status %d", tc.name, res.StatusCode, r.called, tc.status)
		}
	}
}

func TestHeaders(t *testing.T) {
	_, srv := serve(t, &recorder{})
	for path, kind := range map[string]string{"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
		res, body := ask(t, "GET", srv.URL+path, nil)
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) || body == "" {
			t.Errorf("%s: status %d, %s, %d bytes", path, res.StatusCode, res.Header.Get("Content-Type"), len(body))
		}
		for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
			if res.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: the policy lets something in: %s", path, csp)
		}
	}
	if res, _ := ask(t, "GET", srv.URL+"/api/snapshot", nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a snapshot before the first: status %d, want 503", res.StatusCode)
	}
}

// events opens a stream and returns what reads the uptime of its next snapshot.
func events(t *testing.T, url string) func() float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is %s", kind)
	}
	lines := bufio.NewScanner(res.Body)
	return func() float64 {
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var s page.Snapshot
			if ok && json.Unmarshal([]byte(data), &s) == nil {
				return s.Uptime
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return 0
	}
}

func TestStream(t *testing.T) {
	p, srv := serve(t, &recorder{})
	early := events(t, srv.URL)
	p.Publish(page.Snapshot{Uptime: 1})
	if got := early(); got != 1 {
		t.Errorf("a browser that waited got %v first, want 1", got)
	}
	late := events(t, srv.URL)
	if got := late(); got != 1 {
		t.Errorf("a browser that came late got %v first, want 1, at once", got)
	}
	p.Publish(page.Snapshot{Uptime: 2})
	for name, next := range map[string]func() float64{"early": early, "late": late} {
		if got := next(); got != 2 {
			t.Errorf("%s: got %v, want 2", name, got)
		}
	}
}

// A browser that does not read for a while gets the newest snapshot then, and nobody waits for it.
func TestSlowStream(t *testing.T) {
	p, srv := serve(t, &recorder{})
	p.Publish(page.Snapshot{Uptime: 1})
	next := events(t, srv.URL)
	const last = 2000
	big := strings.Repeat("x", 32<<10) // all together are more than the buffers on the way hold
	for i := range last {
		p.Publish(page.Snapshot{Uptime: float64(i + 1), Log: []page.Event{{Text: big}}})
	}
	seen := 0
	for next() != last {
		seen++
	}
	if seen > last/2 {
		t.Errorf("read %d snapshots of %d: they were queued", seen, last)
	}
}

// TestModule checks that the page serves the browser module of this repository, unchanged.
func TestModule(t *testing.T) {
	want, err := os.ReadFile("../../../clients/waybill.mjs")
	if err != nil {
		t.Fatal(err)
	}
	_, srv := serve(t, &recorder{})
	res, got := ask(t, "GET", srv.URL+"/waybill.mjs", nil)
	if kind := res.Header.Get("Content-Type"); got != string(want) || !strings.HasPrefix(kind, "text/javascript") {
		t.Errorf("got %d bytes as %s, want the %d bytes of clients/waybill.mjs; run go generate", len(got), kind, len(want))
	}
}
