package waybillhttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// An approved URL is checked by the address that net/http dials for it: the pattern's host, or one
// label more if the pattern has a star, at the pattern's port.
func FuzzAllowHosts(f *testing.F) {
	for _, pattern := range []string{"cart.shop.internal", "*.shop.internal", "*.shop.internal:8443", "bücher.example", "10.1.2.3:99", "[2001:db8::1]:99"} {
		for _, raw := range []string{
			"https://cart.shop.internal", "https://CART.shop.internal.:8443/x?y#z", "http://cart.shop.internal:", "https://BÜCHER.example",
			"https://xn--bcher-kva.example", "https://a.b.shop.internal", "https://cart.shop.internal@evil.example", "https://[2001:DB8::0:1]:99",
			"https://10.1.2.3:99", "https://ｃart.shop.internal", "https://cart。shop。internal", "https://cart.shop.internal%2e", "https://[::1%25eth0]",
		} {
			f.Add(pattern, raw)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, raw string) {
		entry, err := parsePattern(pattern)
		if err != nil {
			return
		}
		if again, err := parsePattern(entry.String()); err != nil || again != entry {
			t.Errorf("%q is %q, which is %+v, %v; want %+v", pattern, entry, again, err, entry)
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			return
		}
		var h hosts
		if err := h.allow(pattern); err != nil {
			t.Fatalf("allow(%q): %v", pattern, err)
		}
		if !h.approves(u) {
			return
		}
		addr := dialed(t, u)
		if addr == "" {
			return // net/http does not dial such a host
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatalf("%q is dialed as %q: %v", raw, addr, err)
		}
		if entry.port != "" && port != entry.port {
			t.Errorf("%q approves %q, which goes to port %s", pattern, raw, port)
		}
		if !entry.covers(host) {
			t.Errorf("%q approves %q, which goes to %q", pattern, raw, host)
		}
	})
}

// String returns the pattern of e, in its canonical spelling.
func (e hostPort) String() string {
	host := e.host
	if strings.HasPrefix(host, ".") {
		host = "*" + host
	}
	if e.port == "" {
		return host
	}
	return net.JoinHostPort(host, e.port)
}

// covers reports whether a dialed name belongs to the pattern. It is written independently of
// approves.
func (e hostPort) covers(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		name = ip.String()
	}
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), "."), ".")
	if strings.HasPrefix(e.host, ".") {
		return len(labels) > 1 && labels[0] != "" && "."+strings.Join(labels[1:], ".") == e.host
	}
	return strings.Join(labels, ".") == e.host
}

// dialed returns the address that net/http dials for u, or "".
func dialed(t *testing.T, u *url.URL) (addr string) {
	stop := errors.New("dialed")
	tr := &http.Transport{DialContext: func(_ context.Context, _, to string) (net.Conn, error) {
		addr = to
		return nil, stop
	}}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://placeholder", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host = u, ""
	if resp, err := tr.RoundTrip(r); err == nil {
		resp.Body.Close()
		t.Fatalf("%s was answered, want the dial to stop", u)
	}
	return addr
}
