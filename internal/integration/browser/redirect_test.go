package browser

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A change that is answered with a redirect is in the page behind it, and in the next request.

func TestRedirectCookies(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			s := serve(t, p.major, newScene(t).replicas(waybillhttp.Cookies())...)
			tb := open(t, s, "/form")
			tb.follow("#send")
			tb.shows("/page", "7")
			tb.follow("#next")
			tb.shows("/claims", "[7]")
		})
	}
}

// Pages holds the journey in forms, links and redirects alone.
func TestRedirectPages(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			s := serve(t, p.major, newScene(t).replicas(waybillhttp.Pages())...)
			tb := open(t, s, "/form")
			tb.follow("#send")
			tb.shows("/page", "7")
			tb.follow("#next")
			tb.shows("/claims", "[7]")
			if got := tb.cookies(); len(got) > 0 {
				t.Errorf("Pages sets cookies: %v", got)
			}
		})
	}
}

// fetch follows the redirect and hides its header: the module reads the parameter of the hand-over.
func TestRedirectModule(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			s := serve(t, p.major, newScene(t).replicas()...)
			for _, path := range []string{"/go?n=7", "/go?n=7&hops=2"} {
				tb := open(t, s, "/tab")
				tb.goes(path, []int{7}) // a first visit
				tb.goes(strings.Replace(path, "7", "8", 1), []int{7, 8})
			}
		})
	}
}

// The same for a page of another origin, with CORS outside of the edge.
func TestRedirectModuleCrossOrigin(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			page := serve(t, p.major, http.NotFoundHandler())
			var replicas []http.Handler
			for _, h := range newScene(t).replicas() {
				replicas = append(replicas, allow(page.url, h))
			}
			api := serve(t, p.major, replicas...)
			for _, path := range []string{"/go?n=7", "/go?n=7&hops=2"} {
				tb := open(t, page, "/tab?api="+api.url)
				tb.goes(path, []int{7})
				tb.goes(strings.Replace(path, "7", "8", 1), []int{7, 8})
			}
		})
	}
}

// A redirect to a target of the client's choice must not plant another journey: only the edge hands
// over tokens.
func TestRedirectPlanted(t *testing.T) {
	sc := newScene(t)
	s := serve(t, 1, sc.replicas()...)
	sc.next = "/page?waybill=" + s.token(t)
	tb := open(t, s, "/tab")
	eval[bool](tb, `change("module", 1, 0)`)
	eval[bool](tb, `by.module("/to").then((answer) => answer.ok)`)
	if got := eval[[]int](tb, `claims("module")`); !slices.Equal(got, []int{1}) {
		t.Errorf("after the redirect the journey has the claims %v, want [1]", got)
	}
}

// token returns the token of another client of the site, whose journey has claim 100.
func (s *site) token(t *testing.T) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.local+"/change?n=100&ms=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Waybill"] = []string{""}
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert.pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	token := res.Header.Get("Waybill-Update")
	if token == "" {
		t.Fatalf("%s, without a token", res.Status)
	}
	return token
}

// allow is what a CORS middleware does for the module.
func allow(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Waybill-Update")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Headers", "Waybill")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// goes sends a change that is answered with a redirect, by the module, and checks the claims of the
// page behind it and of the next request.
func (tb *tab) goes(path string, want []int) {
	tb.Helper()
	type outcome struct {
		Redirected bool
		Page       []int
		Claims     []int
	}
	got := eval[outcome](tb, `(async () => {
		const answer = await by.module("`+path+`", { method: "POST" });
		const text = await answer.text();
		return {
			redirected: answer.redirected,
			page: [...text.matchAll(/<li>(\d+)/g)].map((m) => Number(m[1])),
			claims: await claims("module"),
		};
	})()`)
	if !got.Redirected {
		tb.Errorf("%s: not redirected", path)
	}
	if !slices.Equal(got.Page, want) {
		tb.Errorf("%s: the page behind the redirect shows the claims %v, want %v", path, got.Page, want)
	}
	if !slices.Equal(got.Claims, want) {
		tb.Errorf("%s: the next request has the claims %v, want %v", path, got.Claims, want)
	}
}

// shows checks where the tab is, and the text of its page.
func (tb *tab) shows(path, text string) {
	tb.Helper()
	if got := eval[string](tb, `location.pathname`); got != path {
		tb.Errorf("the tab is at %s, want %s", got, path)
	}
	if got := eval[string](tb, `document.body.innerText`); !strings.Contains(got, text) {
		tb.Errorf("%s shows %q, want %q", path, got, text)
	}
}
