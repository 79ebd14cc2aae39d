package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

func BenchmarkEdge(b *testing.B) {
	auth := authority(b)
	ok := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }
	change := func(w http.ResponseWriter, r *http.Request) {
		waybill.Update(r.Context(), seats.To(2))
		w.WriteHeader(200)
	}
	token := issue(b, auth, cell.To("eu-3"))
	for _, bb := range []struct {
		name  string
		h     http.Handler
		name2 string
		value string
	}{
		{"header/absent", handleEdge(auth, ok, waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) { return nil, nil })), "", ""},
		{"header/token", handleEdge(auth, ok), headerKey, token},
		{"header/changed", handleEdge(auth, change), headerKey, token},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			if bb.name2 != "" {
				r.Header.Set(bb.name2, bb.value)
			}
			var w http.ResponseWriter = &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.Header())
				bb.h.ServeHTTP(w, r)
			}
		})
	}
}
