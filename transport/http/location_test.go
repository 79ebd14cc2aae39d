package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// The copy of the token in the Location counts as well: a proxy that rejects the header would lock
// the client out.
func TestHandoverStaysWithinTheBudget(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers[1:] {
		pad := map[string]int{"header": 2, "pages": 4}[c.name]
		for _, n := range []int{100, 700} {
			h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Begin(r.Context(), cell.To(strings.Repeat("x", n))))
				http.Redirect(w, r, "/next?"+strings.Repeat("y", pad*n), http.StatusSeeOther)
			}, append(c.options, waybillhttp.Logger(nolog))...)
			r := httptest.NewRequest("POST", "/", nil)
			if c.name == "header" {
				r.Header.Set(headerKey, "")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			size := 0
			for key, values := range w.Header() {
				for _, value := range values {
					size += len(key) + len(value) + 4
				}
			}
			handed := strings.Contains(w.Header().Get("Location"), "waybill=")
			if size > 4<<10 || handed != (n == 100) || c.name == "header" && n == 100 && w.Header()[returnKey] == nil {
				t.Errorf("%s, %d: %d bytes, handed over: %v, header: %v", c.name, n, size, handed, w.Header()[returnKey] != nil)
			}
		}
	}
}
