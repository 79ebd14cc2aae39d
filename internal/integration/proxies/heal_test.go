package integrationproxies

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHealNginx makes a client too large for nginx with default settings. The next page empties its jar,
// and the page after that begins a new journey.
func TestHealNginx(t *testing.T) {
	program(t, "nginx")
	c := newCertificate(t)
	s := newShop(t)
	addr := startNginx(t, c, s.replicas, "", nginxHeal+nginxPass)
	cl := newClient(t, addr, c.transport(t, false), newCookies(t, addr))
	cl.outgrow(t)
	cl.recovers(t)
}

// TestNoHealNginx shows the need for the page: without it, nginx refuses every request of the client.
func TestNoHealNginx(t *testing.T) {
	program(t, "nginx")
	c := newCertificate(t)
	s := newShop(t)
	addr := startNginx(t, c, s.replicas, "", nginxPass)
	cl := newClient(t, addr, c.transport(t, false), newCookies(t, addr))
	cl.outgrow(t)
	cl.isLockedOut(t)
}

// TestHealHAProxy makes a client too large for the rule of docs/edge.md, which answers before the
// request is too large for the buffer.
func TestHealHAProxy(t *testing.T) {
	program(t, "haproxy")
	c := newCertificate(t)
	s := newShop(t)
	addr := startHAProxy(t, c, s.replicas, haproxySettings, haproxyHeal)
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			held := newCookies(t, addr)
			held.plant(120, 1000)
			newClient(t, addr, c.transport(t, proto.http2), held).recovers(t)
		})
	}
}

// TestNoHealHAProxy shows that HAProxy has no page for a request that is larger than its buffer: it
// answers with a built-in text whatever errorfile, http-error and http-after-response say.
func TestNoHealHAProxy(t *testing.T) {
	program(t, "haproxy")
	c := newCertificate(t)
	page := filepath.Join(t.TempDir(), "400.http")
	text := "HTTP/1.1 400 Bad Request\r\nClear-Site-Data: \"cookies\"\r\nContent-Length: 0\r\n\r\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const status, header = `status 400 content-type text/html string "<p>Bad request</p>"`, `Clear-Site-Data '"cookies"'`
	for name, lines := range map[string]string{
		"errorfile":           "    errorfile 400 " + page + "\n",
		"http-error":          "    http-error " + status + " hdr " + header + "\n",
		"http-after-response": "    http-after-response set-header " + header + " if { status 400 }\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			addr := startHAProxy(t, c, s.replicas, "", lines)
			held := newCookies(t, addr)
			held.plant(30, 1000)
			newClient(t, addr, c.transport(t, false), held).isLockedOut(t)
		})
	}
}

// outgrow starts 30 changes at once, from one token.
func (c *client) outgrow(t *testing.T) {
	t.Helper()
	c.view(t)
	for _, a := range c.burst(t, 0, 30) {
		a.view(t)
	}
}

// recovers fails the test unless the next page empties the jar and the page after that works.
func (c *client) recovers(t *testing.T) {
	t.Helper()
	a := c.get(t, "/")
	if a.status != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(a.body, "<p>") {
		t.Errorf("status %d, want 431 and a page: %.200s", a.status, a.body)
	}
	if held := c.held.tokens(); held != nil {
		t.Fatalf("the client still holds %d tokens", len(held))
	}
	c.rounds(t, 2, promised)
}

// isLockedOut fails the test unless the proxy refuses one page after the other.
func (c *client) isLockedOut(t *testing.T) {
	t.Helper()
	for range 3 {
		a, err := c.send(c.request(t, "GET", "/"))
		if err != nil {
			t.Logf("the proxy closed the connection while the request was sent: %v", err)
			continue
		}
		if a.status != http.StatusBadRequest || a.header.Get("Clear-Site-Data") != "" {
			t.Errorf("status %d, Clear-Site-Data %q; want 400 and none: docs/edge.md can promise more",
				a.status, a.header.Get("Clear-Site-Data"))
		}
	}
}
