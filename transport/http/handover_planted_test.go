package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A redirect to a target of the visitor's choice plants no token, whether or not the client gets an
// update. Other values of the parameter belong to the application.
func TestRedirectPlantsNothing(t *testing.T) {
	auth := authority(t)
	mine, theirs := issue(t, auth, cell.To("mine")), issue(t, auth, cell.To("theirs"))
	for name, opts := range map[string][]waybillhttp.EdgeOption{"header": nil, "pages": {waybillhttp.Pages()}} {
		for _, changes := range []bool{false, true} {
			for location, want := range map[string]string{
				"/page?waybill=" + theirs + "&a=1":                     "",
				"/page?a=1&%77aybill=" + theirs:                        "",
				"/page?way\tbill=" + theirs:                            "",
				"http://example.com/page?waybill=" + theirs:            "",
				"https://shop.example/page?waybill=" + theirs + "#top": "",
				"/page?waybill=" + theirs + "&waybill=" + theirs:       "",
				"/page?waybill=7":                                      "7",
			} {
				h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
					if changes {
						if err := waybill.Update(r.Context(), cell.To("changed")); err != nil {
							t.Error(err)
						}
					}
					w.Header().Set("Location", location)
					w.WriteHeader(http.StatusSeeOther)
				}, opts...)
				r := httptest.NewRequest("GET", "/", nil)
				if name == "header" {
					r.Header.Set("Waybill", mine)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				u, err := url.Parse(w.Header().Get("Location"))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				got := u.Query().Get("waybill")
				if got == theirs || !changes && got != want {
					t.Errorf("%s, changes %v: %.30q became %.60q", name, changes, location, u)
				}
			}
		}
	}
}
