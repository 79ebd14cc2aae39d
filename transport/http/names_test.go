package waybillhttp_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// A request names its destination to a proxy by its Host and its Opaque URL. It carries a waybill
// only if every host that it names is approved.
func TestEveryHostThatARequestNamesIsApproved(t *testing.T) {
	const cart, evil = "cart.shop.internal", "evil.example"
	for name, tt := range map[string]struct {
		change func(*http.Request)
		sent   int
	}{
		"as it is":                 {func(*http.Request) {}, 1},
		"approved Host":            {func(r *http.Request) { r.Host = "Cart.Shop.Internal.:80" }, 1},
		"another approved Host":    {func(r *http.Request) { r.Host = "a.eu.internal" }, 1},
		"foreign Host":             {func(r *http.Request) { r.Host = evil }, 0},
		"foreign URL":              {func(r *http.Request) { r.URL.Host = evil }, 0},
		"approved Opaque":          {func(r *http.Request) { r.URL.Opaque = "//" + cart + "/path" }, 1},
		"Opaque path":              {func(r *http.Request) { r.URL.Opaque = "/path" }, 1},
		"foreign Opaque":           {func(r *http.Request) { r.URL.Opaque = "//" + evil + "/path" }, 0},
		"foreign Opaque and user":  {func(r *http.Request) { r.URL.Opaque = "//" + cart + "@" + evil + "/path" }, 0},
		"foreign absolute Opaque":  {func(r *http.Request) { r.URL.Opaque = "http://" + evil + "/path" }, 0},
		"invalid Opaque":           {func(r *http.Request) { r.URL.Opaque = "evil.example:80" }, 0},
		"Opaque of another scheme": {func(r *http.Request) { r.URL.Opaque = "https://" + cart + "/path" }, 0},
		"everything of the server": {func(r *http.Request) { r.Method, r.URL.Opaque = "OPTIONS", "*" }, 1},
		"second Host line":         {func(r *http.Request) { r.Header["host"] = []string{evil} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			auth, got, m := authority(t), &seen{}, &meter{}
			proxy := httptest.NewUnstartedServer(got)
			proxy.Config.DisableGeneralOptionsHandler = true
			proxy.Start()
			t.Cleanup(proxy.Close)
			to, err := url.Parse(proxy.URL)
			check(t, err)
			base := &http.Transport{Proxy: http.ProxyURL(to)}
			t.Cleanup(base.CloseIdleConnections)
			tr := must(waybillhttp.NewTransport(auth, base, waybillhttp.AllowHosts(cart, "*.eu.internal"),
				waybillhttp.AllowPlaintext(), waybillhttp.Logger(nolog), waybillhttp.MeterProvider(m)))
			r := request(t, waybilltest.Context(t, auth), "GET", "http://"+cart+"/")
			tt.change(r)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			outcome := map[int]string{0: "suppressed", 1: "sent"}[tt.sent]
			if n := len(got.all()); n != tt.sent || m.count("waybill.inject", outcome) != 1 {
				t.Errorf("the proxy got %d tokens, counted %v; want %d and %s", n, m.all(), tt.sent, outcome)
			}
		})
	}
}

// An https request passes an HTTP proxy in a tunnel, and the proxy does not see the token.
func TestProxyOfHTTPSSeesNoToken(t *testing.T) {
	auth, got, proxied := authority(t), &seen{}, &seen{}
	s := serve(t, got)
	proxy := plainServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied.ServeHTTP(w, r)
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy got %s %s, want CONNECT", r.Method, r.URL)
			return
		}
		tunnel(t, w, s)
	}))
	to, err := url.Parse(proxy.URL)
	check(t, err)
	tr := base(t, s).(*http.Transport)
	tr.Proxy = http.ProxyURL(to)
	c := &http.Client{Transport: must(waybillhttp.NewTransport(auth, tr, waybillhttp.AllowHosts(host(s))))}
	get(t, waybilltest.Context(t, auth), c, s.URL)
	if n, seen := len(got.all()), len(proxied.all()); n != 1 || seen != 0 {
		t.Errorf("the server got %d tokens and the proxy %d, want 1 and 0", n, seen)
	}
}

// tunnel connects the client of w with s.
func tunnel(t testing.TB, w http.ResponseWriter, s *httptest.Server) {
	up, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer up.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		t.Error(err)
		return
	}
	go io.Copy(up, buffered) // the server may have read the first bytes already
	io.Copy(conn, up)
}

// The response shows the caller's own request, whatever layers are below.
func TestResponseShowsTheCallersRequest(t *testing.T) {
	for _, p := range protocols {
		auth, got := authority(t), &seen{}
		s := p.start(t, got)
		cloning := roundTrip(func(r *http.Request) (*http.Response, error) {
			return base(t, s).RoundTrip(r.Clone(r.Context()))
		})
		for name, rt := range map[string]http.RoundTripper{"net/http": base(t, s), "cloned below": cloning} {
			tr := must(waybillhttp.NewTransport(auth, rt, waybillhttp.AllowHosts(host(s))))
			r := request(t, waybilltest.Context(t, auth), "GET", s.URL)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Request != r || len(r.Header) != 0 {
				t.Errorf("%s, %s: the response shows another request, or the caller's changed: %v", p.name, name, r.Header)
			}
		}
		if n := len(got.all()); n != 2 {
			t.Errorf("%s: %d tokens were sent, want 2", p.name, n)
		}
	}
}
