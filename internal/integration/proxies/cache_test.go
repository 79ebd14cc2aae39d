package integrationproxies

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gregjones/httpcache"

	"github.com/waybill-go/waybill"
)

// caches start each cache in front of the replicas. All have the URI alone as their key.
var caches = []struct {
	name   string
	stores []string // names of fields with which it stores a page of a handler without an edge
	start  func(t *testing.T, c certificate, replicas []string) (addr string)
}{
	{"nginx",
		[]string{"nothing", "public", "max-age", "s-maxage", "immutable", "expires", "accel", "etag", "everything"},
		func(t *testing.T, c certificate, replicas []string) string {
			return startCachingNginx(t, c, replicas, "")
		}},
	{"nginx revalidating", []string{"public", "accel", "everything"},
		func(t *testing.T, c certificate, replicas []string) string {
			return startCachingNginx(t, c, replicas, "proxy_cache_revalidate on;\n")
		}},
	{"haproxy", []string{"public", "max-age", "s-maxage", "expires", "etag", "everything"},
		func(t *testing.T, c certificate, replicas []string) string {
			program(t, "haproxy")
			const cache = "\ncache pages\n    total-max-size 4\n    max-age 60\n    process-vary on\n"
			const rules = "    http-request cache-use pages\n    http-response cache-store pages\n"
			return startHAProxy(t, c, replicas, cache, rules)
		}},
	{"private", []string{"public", "max-age", "immutable", "expires", "etag", "everything"},
		func(t *testing.T, c certificate, replicas []string) string {
			return startGoCache(t, c, replicas, func(http.Header) {})
		}},
	{"cdn",
		[]string{"public", "max-age", "s-maxage", "expires", "cdn", "one-cdn", "surrogate", "accel", "everything"},
		func(t *testing.T, c certificate, replicas []string) string {
			return startGoCache(t, c, replicas, asCDN)
		}},
}

// startCachingNginx starts nginx with a cache that stores pages as their fields allow, and those without
// any field for a minute.
func startCachingNginx(t *testing.T, c certificate, replicas []string, more string) string {
	program(t, "nginx")
	dir := filepath.Join(t.TempDir(), "pages")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return startNginx(t, c, replicas, "proxy_cache_path "+dir+" keys_zone=pages:1m;\n",
		"proxy_cache pages;\nproxy_cache_key $request_uri;\nproxy_cache_valid 200 1m;\n"+more+nginxPass)
}

// startGoCache starts a reverse proxy with the cache of package httpcache, which follows Vary and
// validates. The function changes the header of each response of the replicas before the cache sees it.
func startGoCache(t *testing.T, c certificate, replicas []string, change func(http.Header)) string {
	t.Helper()
	var turn atomic.Int64
	cache := httpcache.NewMemoryCacheTransport()
	cache.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = replicas[int(turn.Add(1))%len(replicas)]
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			change(resp.Header)
		}
		return resp, err
	})
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: "shop"}) },
		Transport: cache,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	server := httptest.NewTLSServer(proxy)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// asCDN makes a private cache act as the cache of a CDN: fields for CDNs come first, private pages are
// not stored, and Vary is ignored.
func asCDN(h http.Header) {
	if seconds := h.Get("X-Accel-Expires"); seconds != "" {
		h.Set("Cache-Control", "max-age="+seconds)
	}
	for _, key := range []string{"Surrogate-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control"} {
		if value := h.Get(key); value != "" {
			h.Set("Cache-Control", value)
			h.Del("Expires")
		}
	}
	cc := strings.ReplaceAll(h.Get("Cache-Control"), "s-maxage", "max-age")
	if strings.Contains(cc, "private") {
		cc = "no-store"
	}
	h.Set("Cache-Control", cc)
	h.Del("Vary")
}

// visitor is a client that checks each page: it is not another client's, and brings no token of
// another journey.
type visitor struct {
	*client
	name string
	shop *shop
	sid  string // of its journey; empty before it begins

	got       int // tokens
	anonymous int // pages of visitors without a journey
}

// newVisitor begins a journey with a name. Without a name, the first page begins it.
func newVisitor(t *testing.T, s *shop, name string, c *client) *visitor {
	t.Helper()
	v := &visitor{client: c, name: name, shop: s}
	if name != "" {
		v.check(t, c.get(t, "/begin/"+name))
		if v.sid == "" {
			t.Fatalf("%s got no token", name)
		}
	}
	return v
}

// fetch fetches a page and checks it.
func (v *visitor) fetch(t *testing.T, path, kind, etag string) {
	t.Helper()
	r := v.request(t, "GET", path)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	a, err := v.send(r)
	if err != nil {
		t.Fatal(err)
	}
	v.check(t, a)
	want := v.name + " "
	if kind == "blind" {
		want = " "
	}
	switch {
	case a.status == http.StatusOK && want != " " && strings.HasPrefix(a.body, " "):
		v.anonymous++
	case a.status == http.StatusOK && !strings.HasPrefix(a.body, want):
		t.Errorf("%s of %q got the page %q; header %v", path, v.name, a.body, a.header)
	case a.status != http.StatusOK && (a.status != http.StatusNotModified || etag == ""):
		t.Errorf("%s of %q: status %d: %.200s", path, v.name, a.status, a.body)
	}
}

// check fails the test if an answer brings a token of another journey.
func (v *visitor) check(t *testing.T, a answer) {
	t.Helper()
	tokens := a.header["Waybill-Update"]
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		tokens = append(tokens, cookie.Value)
	}
	for _, token := range tokens {
		if token == "" {
			continue
		}
		v.got++
		wb, err := v.shop.auth.Open(token)
		if err != nil {
			t.Errorf("%q got a token that cannot be opened: %v", v.name, err)
			continue
		}
		if v.sid == "" {
			v.sid = wb.ID()
			if _, known := v.shop.sids.LoadOrStore(v.sid, v); known {
				t.Errorf("%q got the token of another client as its first one; header %v", v.name, a.header)
			}
		}
		if wb.ID() != v.sid {
			t.Errorf("%q got a token of another journey; header %v", v.name, a.header)
		}
	}
}

// fakeClock is a clock that a test sets.
type fakeClock struct{ ahead atomic.Int64 }

func (c *fakeClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *fakeClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// TestCaches fetches pages of several journeys through caches, while the handler sets each field that
// allows to store them.
func TestCaches(t *testing.T) {
	for _, cache := range caches {
		t.Run(cache.name, func(t *testing.T) {
			var clock fakeClock
			s := newShop(t, waybill.Clock(clock.now))
			c := newCertificate(t)
			addr := cache.start(t, c, s.replicas)
			via := c.transport(t, false)
			stored := storedBy(t, addr, via)
			for _, field := range cache.stores {
				if !slices.Contains(stored, field) {
					t.Errorf("the cache stores no page with %s, so the test proves little; it stores %v", field, stored)
				}
			}
			for _, v := range fetchAll(t, s, addr, via, &clock, cache.name) {
				if v.got < len(fields) || v.anonymous > 0 {
					t.Errorf("%s got %d tokens, want one for each of %d renewals at least; and %d pages of visitors "+
						"without a journey", v.name, v.got, len(fields), v.anonymous)
				}
			}
		})
	}
}

// TestCachesLazily is TestCaches with visitors that have no journey, whose pages are stored. Only the
// cache that ignores Vary gives these pages to clients on a journey.
func TestCachesLazily(t *testing.T) {
	for _, cache := range caches {
		t.Run(cache.name, func(t *testing.T) {
			var clock fakeClock
			s := newLazyShop(t, waybill.Clock(clock.now))
			c := newCertificate(t)
			addr := cache.start(t, c, s.replicas)
			anonymous := 0
			for _, v := range fetchAll(t, s, addr, c.transport(t, false), &clock, cache.name) {
				anonymous += v.anonymous
			}
			if ignoresVary := cache.name == "cdn"; ignoresVary != (anonymous > 0) {
				t.Errorf("clients on a journey got %d pages of visitors without one", anonymous)
			}
		})
	}
}

// fetchAll fetches all pages several times, as four visitors and as new ones.
func fetchAll(t *testing.T, s *shop, addr string, via http.RoundTripper, clock *fakeClock, cache string) []*visitor {
	t.Helper()
	visitors := []*visitor{
		newVisitor(t, s, "ann", newClient(t, addr, via, newCookies(t, addr))),
		newVisitor(t, s, "bob", newClient(t, addr, via, newCookies(t, addr))),
		newVisitor(t, s, "cid", newClient(t, addr, via, &list{})),
		newVisitor(t, s, "dot", newClient(t, addr, via, &list{})),
	}
	for _, f := range fields {
		for _, kind := range kinds {
			path := "/cached/" + kind + "/" + f.name
			clock.advance(8 * time.Minute) // the next answer renews
			for range 2 {
				newVisitor(t, s, "", newClient(t, addr, via, newCookies(t, addr))).fetch(t, path, kind, "")
				for _, v := range visitors {
					v.fetch(t, path, kind, "")
				}
			}
			// Package httpcache answers a client that validates its own copy with the page that is stored,
			// whatever Vary says.
			if cache != "private" {
				for _, v := range visitors {
					v.fetch(t, path, kind, `"v1"`)
				}
			}
		}
	}
	return visitors
}

// storedBy returns the names of the fields with which a cache stores a page of a handler without an edge.
func storedBy(t *testing.T, addr string, via http.RoundTripper) (names []string) {
	t.Helper()
	for _, f := range fields {
		cl := newClient(t, addr, via, &list{})
		first := cl.get(t, "/control/"+f.name)
		if second := cl.get(t, "/control/"+f.name); first.body == second.body {
			names = append(names, f.name)
		}
	}
	return names
}
