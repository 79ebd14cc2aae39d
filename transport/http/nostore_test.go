package waybillhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A response with a token is no-store, however the handler writes it and whatever it says about
// caches.
func TestTokensAreNeverStored(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("old"))
	field := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, string(waybillhttp.Field(r.Context())))
	}
	public := func(w http.ResponseWriter) {
		for name, value := range map[string]string{
			"Cache-Control": "public, max-age=100", "CDN-Cache-Control": "max-age=100", "Expires": "Thu, 01 Dec 2044 16:00:00 GMT", "ETag": `"1"`,
		} {
			w.Header().Set(name, value)
		}
	}
	for name, write := range map[string]http.HandlerFunc{
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"content": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
		},
		"error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotFound) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusMovedPermanently) },
		"timeout":  http.TimeoutHandler(http.HandlerFunc(field), time.Minute, "").ServeHTTP,
		"flush":    func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); public(w); field(w, r) },
		"page":     field,
		"panic":    func(w http.ResponseWriter, r *http.Request) { field(w, r); panic("the handler fails") },
	} {
		for _, c := range carriers {
			for i, condition := range []http.Header{
				{}, {"If-None-Match": {`"1"`}}, {"Range": {"bytes=1-3"}}, {"If-Modified-Since": {"Thu, 01 Dec 2044 16:00:00 GMT"}}, {"If-Match": {`"2"`}},
			} {
				for _, method := range []string{"GET", "HEAD"} {
					h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
						check(t, waybill.Update(r.Context(), cell.To("changed")))
						public(w)
						write(w, r)
					}, append(c.options, waybillhttp.Logger(nolog))...)
					r := httptest.NewRequest(method, "/", nil)
					r.Header = condition.Clone()
					give(r, c.name, token)
					w := httptest.NewRecorder()
					func() {
						defer func() {
							if recover() != nil {
								http.Error(w, "failed", http.StatusInternalServerError)
							}
						}()
						h.ServeHTTP(w, r)
					}()
					res := w.Result().Header
					brought := strings.Contains(fmt.Sprint(res, w.Body), "eyJ")
					stored := res.Get("Cache-Control") != "no-store" || strings.Contains(res.Get("CDN-Cache-Control"), "max-age") || len(res.Get("Expires")) > 1
					if brought && stored || !brought && c.name != "pages" && name != "panic" {
						t.Errorf("%s, %s, %s, %d: brings a token: %v; header %v", name, c.name, method, i, brought, res)
					}
				}
			}
		}
	}
}
