package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Goroutines that render parts of a page at the same time all get the token with the changes.
func TestFieldsInParallel(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("old"))
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), cell.To("changed")))
		links := make([]string, 8)
		var all sync.WaitGroup
		for i := range links {
			all.Go(func() { links[i] = waybillhttp.Link(r.Context(), "/") })
		}
		all.Wait()
		for _, link := range links {
			if link != links[0] || strings.Contains(link, token) {
				t.Errorf("a link has another token than the others, or the one that came")
			}
		}
	}, waybillhttp.Pages())
	for range 200 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?waybill="+token, nil))
	}
}
