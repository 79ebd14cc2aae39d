package waybillhttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// The goroutines of a handler may use the journey at the same time, also while the answer begins.
func TestGoroutinesOfAHandler(t *testing.T) {
	for _, p := range protections {
		auth := authority(t, waybill.Protect(p))
		token := issue(t, auth, cell.To("old"))
		for _, c := range carriers {
			h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				var all sync.WaitGroup
				for i, f := range []func(){
					func() { waybill.Update(ctx, cell.To("a")) },
					func() { waybill.Update(ctx, tags.To([]string{"x"})) },
					func() { waybill.End(ctx) },
					func() { waybill.Begin(ctx, cell.To("b")) },
					func() { waybillhttp.Field(ctx); waybillhttp.Link(ctx, "/") },
					func() { waybill.Began(ctx); waybill.Previous(ctx); waybill.FromContext(ctx) },
					func() { waybill.Update(ctx, seats.To(4)) },
				} {
					all.Go(func() {
						for range i%3 + 2 {
							f()
						}
					})
				}
				io.WriteString(w, "x")
				all.Wait()
			}, append(c.options, waybillhttp.Logger(nolog), startIn)...)
			for range 50 {
				r := httptest.NewRequest("GET", "/", nil)
				give(r, c.name, token)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
}
