package waybillhttp_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Cookies behind the ones that an edge reads are not shown to inner layers.
func TestTokenBehindTooManyCookies(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Cookie"] = []string{"a=1", strings.Repeat("b=2; ", 1000) + "__Host-wb-x=" + token, "c=3"}
	handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if got := strings.Join(r.Header["Cookie"], "; "); strings.Contains(got, token) || !strings.HasSuffix(got, "c=3") {
			t.Errorf("the handler sees a token, or not the last line, in %d bytes of cookies", len(got))
		}
	}, waybillhttp.Cookies()).ServeHTTP(httptest.NewRecorder(), r)
}

// A multipart form that an outer layer has parsed is shown without the field.
func TestPagesBehindAMultipartForm(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	check(t, form.WriteField("waybill", token))
	check(t, form.WriteField("a", "1"))
	check(t, form.Close())
	r := httptest.NewRequest("POST", "/", &b)
	r.Header.Set("Content-Type", form.FormDataContentType())
	check(t, r.ParseMultipartForm(1<<20))
	handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if seen := fmt.Sprint(r.MultipartForm.Value, r.Form, r.PostForm); seen != "map[a:[1]] map[a:[1]] map[a:[1]]" {
			t.Errorf("the handler sees the form %.80s, want it without the token", seen)
		}
		if got, _ := cell.Get(r.Context()); got != "kept" {
			t.Errorf("cell %q, want kept", got)
		}
	}, waybillhttp.Pages()).ServeHTTP(httptest.NewRecorder(), r)
	if r.MultipartForm.Value["waybill"] == nil {
		t.Error("the original request has changed")
	}
}
