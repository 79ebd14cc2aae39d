package integrationhttp

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Instrumentation inside of an edge sees no token of a client, whatever carries it, and leaves the
// journey as it is.
func TestSpansInsideAnEdge(t *testing.T) {
	for name, opts := range map[string][]waybillhttp.EdgeOption{
		"cookies": {waybillhttp.Cookies()}, "header": nil, "handed over": nil, "pages": {waybillhttp.Pages()}, "form": {waybillhttp.Pages()},
	} {
		k := newKit(t)
		token := issue(t, k.auth, cell.To("eu-3"))
		s := serve(t, false, must(waybillhttp.NewEdge(k.auth, opts...)).Middleware(
			k.instrument(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got, _ := cell.Get(r.Context()); got != "eu-3" {
					t.Errorf("%s: cell %q, want eu-3", name, got)
				}
				check(t, waybill.Update(r.Context(), seats.To(2)))
				http.Redirect(w, r, "/next", http.StatusSeeOther)
			}), k.propagator())))
		r := httptest.NewRequest("GET", s.URL, nil)
		r.RequestURI = ""
		switch name {
		case "cookies":
			r.AddCookie(&http.Cookie{Name: "__Host-wb-a", Value: token})
		case "header":
			r.Header.Set("Waybill", token)
		case "handed over":
			r.Header.Set("Waybill", token)
			r.URL.RawQuery = "waybill=" + token
		case "pages":
			r.URL.RawQuery = "waybill=" + token
			r.Header.Set("Referer", s.URL+"/?waybill="+token)
		case "form":
			form := url.Values{"waybill": {token}}.Encode()
			r.Method, r.ContentLength, r.Body = "POST", int64(len(form)), io.NopCloser(strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := base(t, s).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		carried := strings.Contains(resp.Header.Get("Location"), "waybill=eyJ") || strings.Contains(resp.Header.Get("Set-Cookie"), "=eyJ")
		if resp.StatusCode != 303 || !carried {
			t.Errorf("%s: %d, header %v; want 303 with a token", name, resp.StatusCode, resp.Header)
		}
		s.Close()
		for _, span := range k.spans.Ended() {
			if text := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status()); strings.Contains(text, "eyJ") {
				t.Errorf("%s: the span has a token: %s", name, text)
			}
		}
		if n := len(k.spans.Ended()); n != 1 {
			t.Errorf("%s: %d spans, want 1", name, n)
		}
	}
}

// A propagator outside of an edge opens the token separately, and does not decide for the edge.
func TestPropagatorOutsideAnEdge(t *testing.T) {
	for _, several := range []bool{false, true} {
		k := newKit(t)
		tokens := issue(t, k.auth, cell.To("eu-3"))
		if several {
			tokens += ", garbage"
		}
		s := serve(t, false, k.instrument(must(waybillhttp.NewEdge(k.auth)).Middleware(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got, _ := cell.Get(r.Context()); got != "eu-3" {
					t.Errorf("several tokens: %v: cell %q, want eu-3", several, got)
				}
				check(t, waybill.Update(r.Context(), seats.To(2)))
			})), k.propagator()))
		resp := get(t, t.Context(), base(t, s), s.URL, tokens)
		wb, err := k.auth.Open(resp.Header.Get("Waybill-Update"))
		if got, _ := seats.Of(wb); got != 2 || err != nil {
			t.Errorf("several tokens: %v: %d seats, %v; want 2", several, got, err)
		}
	}
}
