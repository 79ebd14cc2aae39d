package waybillhttp_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// shareable are fields that let shared caches store a response.
var shareable = []http.Header{
	{"Cache-Control": {"public, max-age=60"}},
	{"Cache-Control": {"max-age=60", "s-maxage=600, immutable"}},
	{"Cache-Control": {"max-age=60"}},
	{"Cdn-Cache-Control": {"max-age=60"}},
	{"Cloudflare-Cdn-Cache-Control": {"max-age=60"}, "Cache-Control": {"private"}},
	{"Surrogate-Control": {"max-age=60"}, "Cache-Control": {"no-store"}},
	{"X-Accel-Expires": {"60"}},
	{"Expires": {"Thu, 01 Dec 2044 16:00:00 GMT"}},
	{"Last-Modified": {"Thu, 01 Dec 1994 16:00:00 GMT"}},
}

// A response to a client on a journey stays out of shared caches: it is private, or no-store next
// to a token. It has Vary, on 304 as well, whether the header is written early, late, or in a
// buffer.
func TestSharedCaches(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	for _, c := range carriers {
		for _, fields := range shareable {
			for _, status := range []int{0, 200, 304} {
				for _, change := range []bool{false, true} {
					for _, journey := range []bool{false, true} {
						var rec http.ResponseWriter = httptest.NewRecorder()
						h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
							if change {
								check(t, waybill.Update(r.Context(), cell.To("changed")))
							}
							set := func() {
								for name, values := range fields {
									w.Header()[name] = values
								}
							}
							if status == 0 {
								set()
								return
							}
							set()
							w.WriteHeader(status)
							set() // for a writer that buffers, which sends the header when the handler has returned
						}, append(c.options, waybillhttp.Logger(nolog))...)
						r := httptest.NewRequest("GET", "/", nil)
						if journey {
							give(r, c.name, token)
						} else if c.name == "header" {
							r.Header.Set(headerKey, "")
						}
						h.ServeHTTP(rec, r)
						got := rec.Header()
						storable := sharedMayStore(got)
						carries := change || journey && c.name == "pages"
						noStore := got.Get("Cache-Control") == "no-store"
						switch {
						case storable == (journey || change):
							t.Errorf("%s, %v, status %d, change %v, journey %v: %v; shared caches may store it: %v",
								c.name, fields, status, change, journey, got, storable)
						case carries != noStore && fields.Get("Cache-Control") != "no-store":
							t.Errorf("%s, %v, status %d, change %v, journey %v: Cache-Control %q",
								c.name, fields, status, change, journey, got.Get("Cache-Control"))
						case !noStore && got.Get("Vary") != map[string]string{"cookies": "Cookie, Waybill"}[c.name] && got.Get("Vary") != "Waybill":
							t.Errorf("%s, %v: Vary %q", c.name, fields, got.Get("Vary"))
						}
					}
				}
			}
		}
	}
}

// give puts a token into a request.
func give(r *http.Request, carrier, token string) {
	switch carrier {
	case "cookies":
		r.Header.Set("Cookie", "__Host-wb-a="+token)
	case "header":
		r.Header.Set(headerKey, token)
	case "pages":
		r.URL.RawQuery = "waybill=" + token
		r.RequestURI = r.URL.String()
	}
}

// sharedMayStore reports whether some shared cache stores a response with these fields.
func sharedMayStore(h http.Header) bool {
	for name, values := range h {
		if strings.HasSuffix(name, "-Cache-Control") || name == "Surrogate-Control" {
			if values[0] != "no-store" {
				return true
			}
		}
	}
	if v := h.Get("X-Accel-Expires"); v != "" && v != "0" {
		return true
	}
	cc := strings.Join(h["Cache-Control"], ", ")
	return !strings.Contains(cc, "private") && !strings.Contains(cc, "no-store")
}

// What the handler says for private caches stays.
func TestPrivateKeepsTheRest(t *testing.T) {
	auth := authority(t)
	for cc, want := range map[string]string{
		"public, max-age=60":                         "private, max-age=60",
		"max-age=60, s-maxage=600, must-revalidate":  "private, max-age=60, must-revalidate",
		"PUBLIC , Immutable":                         "private, Immutable",
		"private, max-age=60":                        "private, max-age=60",
		"no-cache":                                   "no-cache",
		"no-store":                                   "no-store",
		`max-age=60, proxy-revalidate, ext="a", pub`: `private, max-age=60, ext="a", pub`,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		give(r, "cookies", issue(t, auth))
		handleEdge(auth, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Control", cc) },
			waybillhttp.Cookies(), waybillhttp.Logger(nolog)).ServeHTTP(w, r)
		if got := w.Header().Get("Cache-Control"); got != want {
			t.Errorf("%q: got %q, want %q", cc, got, want)
		}
	}
}

// It is logged once for each route.
func TestPrivateIsLoggedOnce(t *testing.T) {
	auth := authority(t)
	var logged bytes.Buffer
	mux := http.NewServeMux()
	for _, pattern := range []string{"/a/{id}", "/b"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public") })
	}
	h := must(waybillhttp.NewEdge(auth, waybillhttp.Cookies(), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil))))).Middleware(mux)
	for _, path := range []string{"/a/1", "/a/2", "/b", "/b"} {
		r := httptest.NewRequest("GET", path, nil)
		give(r, "cookies", issue(t, auth))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := strings.Count(logged.String(), "made private"); n != 2 || !strings.Contains(logged.String(), "/a/{id}") {
		t.Errorf("logged %d times, want 2, with the pattern:\n%s", n, &logged)
	}
}

// Long answers begin with a whole life, except answers to hops and gRPC.
func TestLongAnswersAreRenewed(t *testing.T) {
	auth := authority(t)
	young := issue(t, authority(t, at(-2*time.Minute)), cell.To("kept")) // not due otherwise
	for _, c := range carriers[:2] {
		for path, renewed := range map[string]bool{"/short": false, "/events": true, "/flushed": true, "/written": false, "/grpc": false} {
			for _, p := range protocols {
				v := c.visitor(t, p.start(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/events":
						w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
						w.Write([]byte("data: 1\n\n"))
					case "/flushed":
						check(t, http.NewResponseController(w).Flush())
					case "/written":
						w.Write([]byte("begun"))
						flushed(w)
					case "/grpc":
						w.Header().Set("Content-Type", "application/grpc")
						if p.major == 2 {
							check(t, http.NewResponseController(w).Flush())
						}
					}
				}, c.options...)))
				v.hold(young)
				v.visit(t, "GET", path)
				if held := v.held(); len(held) != 1 || (held[0] != young) != renewed {
					t.Errorf("%s %s %s: renewed: %v, want %v", c.name, p.name, path, held[0] != young, renewed)
				}
			}
		}
	}
}
