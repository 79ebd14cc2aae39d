package integrationproxies

import (
	"testing"

	"github.com/waybill-go/waybill"
)

// The settings of docs/edge.md for more than 12 changes at once.
const (
	nginxSettings   = "large_client_header_buffers 4 64k;\n"
	haproxySettings = "    tune.bufsize 131072\n"
)

// startWithSettings starts each proxy as docs/edge.md says.
var startWithSettings = []struct {
	program string
	name    string
	start   func(t *testing.T, c certificate, replicas []string) string
}{
	{"nginx", "nginx", func(t *testing.T, c certificate, replicas []string) string {
		return startNginx(t, c, replicas, nginxSettings, nginxHeal+nginxPass)
	}},
	{"haproxy", "haproxy", func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, haproxySettings, haproxyHeal)
	}},
	{"haproxy", "haproxy with 64 KiB", func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, "    tune.bufsize 65536\n", "")
	}},
}

// TestSettings starts 30 changes at once through proxies with larger buffers, over HTTP/1.1, where the
// limits are smaller. No change is lost and no request is refused.
func TestSettings(t *testing.T) {
	for _, p := range startWithSettings {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.program)
			c := newCertificate(t)
			for _, protection := range protections {
				s := newShop(t, waybill.Protect(protection))
				addr := p.start(t, c, s.replicas)
				for _, h := range holders {
					t.Run(protection.String()+"/"+h.name, func(t *testing.T) {
						cl := newClient(t, addr, c.transport(t, false), h.make(t, addr))
						cl.rounds(t, 2, 30)
						s.report(t)
					})
				}
			}
		})
	}
}

// TestSettingsInARow starts 30 changes, and 30 more that carry the 30 tokens of the first ones, and so
// on, without a page between them.
func TestSettingsInARow(t *testing.T) {
	for _, p := range startWithSettings {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.program)
			c := newCertificate(t)
			s := newShop(t)
			addr := p.start(t, c, s.replicas)
			cl := newClient(t, addr, c.transport(t, false), newCookies(t, addr))
			cl.view(t)
			cl.inARow(t, 3, 30)
			if lost := cl.view(t).missing(2, 30); lost != nil {
				t.Errorf("lost changes %v of the last round", lost)
			}
			s.report(t)
		})
	}
}

// TestHeaderLines sends one line for each token. nginx limits each line, so 30 changes at once pass with
// default settings.
func TestHeaderLines(t *testing.T) {
	program(t, "nginx")
	c := newCertificate(t)
	s := newShop(t)
	addr := startNginx(t, c, s.replicas, "", nginxPass)
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			cl := newClient(t, addr, c.transport(t, proto.http2), &list{lines: true})
			cl.rounds(t, 3, 30)
			s.report(t)
		})
	}
}

// TestManyCookies holds so many tokens that the lines which remove them do not fit into one page of
// memory, the size of the header that nginx accepts from a replica. The answers remove them step by
// step. Other clients notice nothing: nginx stops asking a replica whose header is too large.
func TestManyCookies(t *testing.T) {
	program(t, "nginx")
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			c := newCertificate(t)
			s := newShop(t)
			addr := startNginx(t, c, s.replicas, nginxSettings, nginxHeal+nginxPass)
			via := c.transport(t, proto.http2)
			cl := newClient(t, addr, via, newCookies(t, addr))
			cl.view(t)
			for _, a := range cl.burst(t, 0, 90) {
				a.view(t)
			}
			for range 6 {
				held := len(cl.held.tokens())
				if lost := cl.view(t).missing(0, 90); lost != nil {
					t.Fatalf("with %d tokens: lost changes %v", held, lost)
				}
				newClient(t, addr, via, newCookies(t, addr)).view(t)
			}
			if held := len(cl.held.tokens()); held != 1 {
				t.Errorf("after 6 pages the client holds %d tokens, want 1", held)
			}
			s.report(t)
		})
	}
}

// TestRubbishCookies sends cookies that are no tokens. The answers remove them step by step, and the
// journey and other clients are not disturbed.
func TestRubbishCookies(t *testing.T) {
	program(t, "nginx")
	c := newCertificate(t)
	s := newShop(t)
	addr := startNginx(t, c, s.replicas, nginxSettings, nginxHeal+nginxPass)
	via := c.transport(t, false)
	held := newCookies(t, addr)
	cl := newClient(t, addr, via, held)
	cl.get(t, "/?guest=ann")
	held.plant(150, 300)
	for range 8 {
		if v := cl.view(t); v.Guest != "ann" {
			t.Fatalf("with %d cookies the client is %q", len(held.tokens()), v.Guest)
		}
		newClient(t, addr, via, newCookies(t, addr)).view(t)
	}
	if left := len(held.tokens()); left != 1 {
		t.Errorf("after 8 pages the client holds %d cookies, want 1", left)
	}
}
