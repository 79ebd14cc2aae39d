package waybillhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A request with a megabyte of parameters, and as many tokens in the header as an edge reads, costs
// milliseconds and little memory.
func TestParametersAreCheap(t *testing.T) {
	const mega = 1 << 20
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		good := issue(t, auth, cell.To("kept"))
		dotted := strings.Repeat("a", 62) + ".."
		fill := func(part string, size int) string { return strings.Repeat(part, size/len(part)) }
		for name, tt := range map[string]struct{ query, list string }{
			"dotted":     {fill("&waybill="+dotted, mega), fill(good+",", 96<<10)},
			"forged":     {fill("&waybill="+forge(good), mega), fill(good+",", 96<<10)},
			"good":       {fill("&waybill="+good, mega), fill(forge(good)+",", 96<<10)},
			"no list":    {fill("&waybill="+good, mega), ""},
			"ampersands": {"%" + fill("&", mega), ""},
			"percents":   {fill("%77=&", mega), ""},
		} {
			for carrier, opts := range map[string][]waybillhttp.EdgeOption{"header": nil, "pages": {waybillhttp.Pages()}} {
				r := httptest.NewRequest("POST", "/?"+tt.query, nil)
				r.Header.Set("Referer", r.RequestURI)
				if tt.list != "" || carrier == "header" {
					r.Header.Set(headerKey, tt.list)
				}
				h := handleEdge(auth, func(http.ResponseWriter, *http.Request) {}, append(opts, startIn, waybillhttp.Logger(nolog))...)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begun := time.Now()
				h.ServeHTTP(httptest.NewRecorder(), r)
				took := time.Since(begun)
				runtime.ReadMemStats(&after)
				if size := after.TotalAlloc - before.TotalAlloc; took > 2*time.Second || size > 16*mega {
					t.Errorf("%s/%s/%s: %v and %d KiB", protection, name, carrier, took, size>>10)
				}
			}
		}
	}
}

// net/http reads # in a request's target as any other character, and keeps several lines of Referer.
func TestParametersWithoutFragment(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth)
	for target, want := range map[string]string{
		"/?a=1#&waybill=" + token:                       "/?a=1#",
		"/x#y?waybill=" + token:                         "/x#y",
		"/?waybill=" + token + "&b=#?&waybill=" + token: "/?b=#?",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = must(url.ParseRequestURI(target)), target
		r.Header["Referer"] = []string{"https://example.com/", "https://example.com/?waybill=" + token}
		handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
			if seen := fmt.Sprint(r.URL, r.Header); r.RequestURI != want || strings.Contains(seen, token) {
				t.Errorf("the handler sees %.40q and %.40s, want %q and no token", r.RequestURI, seen, want)
			}
		}, waybillhttp.Pages()).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// The fragment of a URL belongs to the page.
func TestLinkKeepsTheFragment(t *testing.T) {
	auth := authority(t)
	w := httptest.NewRecorder()
	handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, waybillhttp.Link(r.Context(), "/a#/list?waybill=3&c"))
	}, waybillhttp.Pages(), startIn).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Body.String(); !strings.HasPrefix(got, "/a?waybill=ey") || !strings.HasSuffix(got, "#/list?waybill=3&c") {
		t.Errorf("got %q", got)
	}
}
