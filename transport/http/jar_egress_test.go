package waybillhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// jarDestinations are places to which a Jar of the origins https://cart.shop.internal,
// https://a.eu.internal:8443, http://localhost:80, https://[2001:DB8::1] and
// https://b\u00fccher.example may be led.
var jarDestinations = []struct {
	url    string
	origin bool
}{
	{"https://cart.shop.internal/next", true},
	{"https://CART.Shop.Internal.:443/next", true},
	{"https://me:password@cart.shop.internal/", true},
	{"https://a.eu.internal:8443", true},
	{"http://localhost", true},
	{"https://[2001:db8:0::1]:443", true},
	{"https://b\u00fccher.example", true},
	{"https://B\u00dcCHER.example", true},
	{"https://xn--bcher-kva.example", true},
	{"https://evil.example", false},
	{"https://cart.shop.internal@evil.example", false},
	{"https://cart.shop.internal:8443", false},
	{"http://cart.shop.internal", false},
	{"https://a.eu.internal", false},
	{"https://localhost", false},
	{"http://127.0.0.1", false},
	{"https://x.cart.shop.internal", false},
	{"https://shop.internal", false},
	{"https://cart.shop.internal.evil.example", false},
	{"https://\u0441art.shop.internal", false}, // Cyrillic
	{"https://[2001:db8::2]", false},
}

// Tokens are sent to the origins only, directly and over every redirect, even if the application
// set the header itself, which net/http copies to redirects.
func TestJarDestinations(t *testing.T) {
	for _, tt := range jarDestinations {
		t.Run(tt.url, func(t *testing.T) {
			for _, status := range []int{0, 301, 302, 303, 307, 308} {
				var first, last []string
				headers := http.Header{}
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/first" {
						first, _ = carried(r)
						w.Header().Set("Location", tt.url)
						w.WriteHeader(status)
						return
					}
					last, _ = carried(r)
					headers = r.Header
					w.Header().Set(returnKey, "stranger")
				})
				j := jar(t, anywhere(t, serve(t, h), plainServer(t, h)), "https://cart.shop.internal",
					"https://a.eu.internal:8443", "http://localhost:80", "https://[2001:DB8::1]", "HTTPS://b\u00fccher.example")
				j.Restore([]string{"held"})
				from := "https://cart.shop.internal/first"
				if status == 0 {
					from = tt.url
				}
				r := request(t, t.Context(), "POST", from)
				for _, name := range []string{headerKey, "waybill", returnKey, hopKey} {
					r.Header[name] = []string{"by hand"}
				}
				a := do(t, &http.Client{Transport: j}, r)
				if a.StatusCode != 200 || a.Header[returnKey] != nil {
					t.Fatalf("%d: got %d with the header %v, want the destination's 200", status, a.StatusCode, a.Header)
				}
				if status != 0 && !slices.Equal(first, []string{"held"}) {
					t.Errorf("%d: the first server got %q", status, first)
				}
				want, holds := []string(nil), "held"
				if tt.origin {
					want, holds = []string{"held"}, "stranger"
				}
				if !slices.Equal(last, want) || headers[hopKey] != nil || headers[returnKey] != nil {
					t.Errorf("%d: %s got %q with the header %v, want the tokens %q", status, tt.url, last, headers, want)
				}
				if got := j.Tokens(); !slices.Equal(got, []string{holds}) {
					t.Errorf("%d: the jar holds %q, want %s", status, got, holds)
				}
			}
		})
	}
}

// A request names its destination to a proxy by its Host and its Opaque URL, too.
func TestJarJudgesEveryNameOfTheDestination(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*http.Request)
		origin bool
	}{
		"as it is":        {func(*http.Request) {}, true},
		"own Host":        {func(r *http.Request) { r.Host = "Shop.Example.:443" }, true},
		"foreign Host":    {func(r *http.Request) { r.Host = "evil.example" }, false},
		"another port":    {func(r *http.Request) { r.Host = "shop.example:8443" }, false},
		"foreign Opaque":  {func(r *http.Request) { r.URL.Opaque = "//evil.example/" }, false},
		"own Opaque":      {func(r *http.Request) { r.URL.Opaque = "//shop.example/" }, true},
		"second Host":     {func(r *http.Request) { r.Header["HOST"] = []string{"evil.example"} }, false},
		"no header map":   {func(r *http.Request) { r.Header = nil }, true},
		"no URL":          {func(r *http.Request) { r.URL = nil }, false},
		"another scheme":  {func(r *http.Request) { r.URL.Scheme = "ftp" }, false},
		"invalid IDN":     {func(r *http.Request) { r.URL.Host = "\u00e9\u2260..example" }, false},
		"without a host":  {func(r *http.Request) { r.URL.Host = "" }, false},
		"wrong port":      {func(r *http.Request) { r.URL.Host = "shop.example:80" }, false},
		"plain http":      {func(r *http.Request) { r.URL.Scheme = "http" }, false},
		"http at 443":     {func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", "shop.example:443" }, false},
		"empty port":      {func(r *http.Request) { r.URL.Host = "shop.example:" }, true},
		"Host by proxies": {func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "evil.example") }, true},
	} {
		var got []string
		j := jar(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			got, _ = carried(r)
			return reply(r), nil
		}), "https://shop.example")
		j.Restore([]string{"held"})
		r := request(t, t.Context(), "GET", "https://shop.example/")
		tt.change(r)
		if _, err := j.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if (got != nil) != tt.origin {
			t.Errorf("%s: sent %q, want tokens: %v", name, got, tt.origin)
		}
	}
}

func TestInvalidOrigin(t *testing.T) {
	for _, origin := range []string{
		"", "shop.example", "shop.example:443", "//shop.example", "https:", "https://", "https:///", "ftp://shop.example",
		"wss://shop.example", "https://shop.example/", "https://shop.example/path", "https://shop.example?", "https://shop.example#",
		"https://me@shop.example", "https://*.shop.example", "https://*", "https://shop.example:", "https://shop.example:0",
		"https://shop.example:https", "https://shop.example:65536", "https://shop.example:080", "https://::1", "https://[::1",
		"https://[::1]:", "https://[127.0.0.1]", "https://2130706433", "https://0x7f.1", "https://shop .example", " https://shop.example",
		"https://shop%2eexample", "https://shop.example\\@evil.example", "https://.shop.example", "https://shop..example",
		"https://a.example,https://b.example", "null",
	} {
		if j, err := waybillhttp.NewJar(nil, "https://good.example", origin); err == nil {
			t.Errorf("%q was accepted: %v", origin, j)
		} else if !strings.HasPrefix(err.Error(), "waybillhttp: NewJar: origin 2: ") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	if _, err := waybillhttp.NewJar(nil); err == nil {
		t.Error("a Jar without origins was made")
	}
	for _, origin := range []string{
		"https://shop.example", "HTTPS://Shop.Example:8443", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080",
		"https://[2001:db8::1]", "https://b\u00fccher.example", "https://shop.example.", "http://intranet",
	} {
		if _, err := waybillhttp.NewJar(nil, origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

// After a change that answers with a redirect, the page behind it sees the change, and no server and
// no caller sees a token in an address.
func TestJarRedirect(t *testing.T) {
	for _, p := range protocols {
		for target, want := range map[string]string{ // of the Location of the edge
			"/page":                      "/page",
			"/page?a=1&b=%20%2F":         "/page?a=1&b=+%2F", // as this edge writes it
			"https://shop.example/page#": "/page",
			"?b=2":                       "/?b=2",
		} {
			edge := &sums{}
			base, origin := replicas(t, p.major == 2, edge, edge)
			c := &http.Client{Transport: jar(t, base, origin)}
			if a := do(t, c, request(t, t.Context(), "POST", origin+"/?add=1")); a.StatusCode != 200 {
				t.Fatal(a.Status)
			}
			a := do(t, c, request(t, t.Context(), "POST", origin+"/?add=2&to="+url.QueryEscape(target)))
			if a.body != "2" || a.Request.URL.RequestURI() != want || strings.Contains(a.Request.Referer(), "waybill") {
				t.Errorf("%s: the page %s, referred by %q, shows %s changes, want 2", target, a.Request.URL, a.Request.Referer(), a.body)
			}
			if got := edge.seen[len(edge.seen)-1]; got != "GET "+want {
				t.Errorf("the edge got %s, want GET %s", got, want)
			}
		}
	}
}

// There and back: the other server sees no token, although it is between two servers of ours, and
// cannot plant one.
func TestJarRedirectOverAnotherServer(t *testing.T) {
	edge, planted := &sums{}, strings.Repeat("x", 64)+".y.z"
	var asked *http.Request
	foreign := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.Header().Set(returnKey, planted)
		http.Redirect(w, r, r.FormValue("back")+"?x=1&waybill="+planted, http.StatusFound)
	}))
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header().Set(returnKey, tokenOf(map[string]bool{"login": true}))
			http.Redirect(w, r, foreign.URL+"/?back=https://shop.example/done", http.StatusSeeOther)
			return
		}
		edge.ServeHTTP(w, r)
	}))
	byHost := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == host(foreign) {
			return base(t, foreign).RoundTrip(r)
		}
		return anywhere(t, s, nil).RoundTrip(r)
	})
	j := jar(t, byHost, "https://shop.example")
	a := do(t, &http.Client{Transport: j}, request(t, t.Context(), "POST", "https://shop.example/login"))
	if a.body != "1" || !slices.Equal(edge.seen, []string{"GET /done?x=1"}) {
		t.Errorf("got %s, and the edge got %q", a.body, edge.seen)
	}
	if asked == nil || asked.Header[headerKey] != nil {
		t.Errorf("the other server got %v", asked)
	}
	if got := j.Tokens(); len(got) != 1 || !setOf(got[0])["login"] {
		t.Errorf("the jar holds %q", got)
	}
}

// The parameter is removed where it is a hand-over, and the rest of the address stays as it is.
func TestJarLocation(t *testing.T) {
	token := strings.Repeat("x", 30) + "." + strings.Repeat("y", 30) + "." + strings.Repeat("z", 30)
	for _, tt := range []struct{ from, status, location, want string }{
		{"own", "303", "/a?waybill=new", "/a"},
		{"own", "303", "/a?x=1&waybill=new&y=%zz;+#f", "/a?x=1&y=%zz;+#f"},
		{"own", "303", "?waybill=new", "?"},
		{"own", "303", "?waybill=new#f", "?#f"},
		{"own", "303", "//shop.example/?%77aybill=new&waybill=" + token, "//shop.example/"},
		{"own", "307", "https://SHOP.example:443/a?waybill=" + token, "https://SHOP.example:443/a"},
		{"own", "303", "/a?waybills=1&Waybill=2&waybill&waybill=4711", "/a?waybills=1&Waybill=2&waybill&waybill=4711"},
		{"own", "303", "/a?", "/a?"},
		{"own", "303", "/a#", "/a#"},
		{"own", "201", "/a?waybill=new", "/a?waybill=new"},
		{"own", "303", "https://parcels.example/?waybill=4711", "https://parcels.example/?waybill=4711"},
		{"own", "303", "https://parcels.example/?waybill=new", "https://parcels.example/"},
		{"own", "303", "http://shop.example/?waybill=new", "http://shop.example/"},
		{"own", "303", ":", ":"},
		{"foreign", "302", "https://shop.example/?waybill=" + token, "https://shop.example/"},
		{"foreign", "302", "/?waybill=" + token, "/?waybill=" + token},
	} {
		j := jar(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			resp := reply(r, "new")
			fmt.Sscan(tt.status, &resp.StatusCode)
			resp.Header["Location"] = []string{tt.location}
			return resp, nil
		}), "https://shop.example")
		resp, err := j.RoundTrip(request(t, t.Context(), "GET", map[string]string{
			"own": "https://shop.example/x", "foreign": "https://parcels.example/x"}[tt.from]))
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Location"); got != tt.want {
			t.Errorf("%s from %s: %q, want %q", tt.location, tt.from, got, tt.want)
		}
	}
}

// The connections of the base are closed by the client.
func TestJarClosesIdleConnections(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	defer s.Close()
	closed := false
	b := &idle{base(t, s), func() { closed = true }}
	(&http.Client{Transport: jar(t, b, s.URL)}).CloseIdleConnections()
	if !closed {
		t.Error("the base was not asked")
	}
}

type idle struct {
	http.RoundTripper
	close func()
}

func (i *idle) CloseIdleConnections() { i.close() }
