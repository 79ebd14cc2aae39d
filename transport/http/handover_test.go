package waybillhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A change in a request that is answered by a redirect is there behind it, and in the next request.
// A client that sends the header does not see the update of the redirect.
func TestChangeBehindARedirect(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		for _, c := range carriers {
			for start, opts := range map[string][]waybillhttp.EdgeOption{"lazy": nil, "started": {startIn}} {
				for _, method := range []string{"GET", "POST"} {
					t.Run(strings.Join([]string{protection, c.name, start, method}, "/"), func(t *testing.T) {
						v := c.visitor(t, serve(t, handleEdge(auth, reporter(t), append(opts, c.options...)...)))
						for _, to := range []string{"first", "second", "third"} {
							if a := v.visit(t, method, "/cell="+to+"?to=/page"); a.StatusCode != 200 || a.cell != to {
								t.Errorf("behind the redirect: %d, cell %q, want %s", a.StatusCode, a.cell, to)
							}
							if a := v.visit(t, "GET", "/"); a.cell != to {
								t.Errorf("the next request: cell %q, want %s", a.cell, to)
							}
						}
						if n := len(v.held()); n > 2 {
							t.Errorf("the client holds %d tokens, want 1 or 2", n)
						}
					})
				}
			}
		}
	}
}

// So is a login, which begins another journey, and a logout.
func TestLoginBehindARedirect(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers {
		v := c.visitor(t, serve(t, handleEdge(auth, reporter(t), append(c.options, startIn)...)))
		before := v.visit(t, "POST", "/cell=cart")
		in := v.visit(t, "POST", "/login?to=/page")
		if in.cell != "mine" || in.sid == before.sid {
			t.Errorf("%s: behind the login: cell %q, journey %q after %q; want mine in another journey", c.name, in.cell, in.sid, before.sid)
		}
		if after := v.visit(t, "GET", "/"); after.cell != "mine" || after.sid != in.sid {
			t.Errorf("%s: after the login: cell %q, journey %q; want mine in %q", c.name, after.cell, after.sid, in.sid)
		}
		out := v.visit(t, "POST", "/logout?to=/page")
		if out.cell != "new" || out.sid == in.sid {
			t.Errorf("%s: behind the logout: cell %q, journey %q; want new in another journey than %q", c.name, out.cell, out.sid, in.sid)
		}
		if last := v.visit(t, "GET", "/"); last.cell != "new" || last.sid != out.sid {
			t.Errorf("%s: after the logout: cell %q, journey %q; want new in %q", c.name, last.cell, last.sid, out.sid)
		}
	}
}

// A link with a token does not put a client on another one's journey. Values that are no tokens
// belong to the application, and so does every parameter of a client with cookies.
func TestHandoverIsNoLink(t *testing.T) {
	auth := authority(t)
	m := &meter{}
	mine, theirs := issue(t, auth, cell.To("mine")), issue(t, auth, cell.To("theirs"))
	var parameter string
	h := func(w http.ResponseWriter, r *http.Request) {
		parameter = r.URL.Query().Get("waybill")
		if got, _ := cell.Get(r.Context()); got != "mine" {
			t.Errorf("cell %q, want mine", got)
		}
	}
	s := serve(t, handleEdge(auth, h, waybillhttp.MeterProvider(m)))
	v := &script{s: s, tokens: []string{mine}}
	v.visit(t, "GET", "/?waybill="+theirs)
	if parameter != "" || m.count("waybill.forget", "other_carrier") != 1 {
		t.Errorf("the handler sees the parameter %q, counted %v; want it removed and counted", parameter, m.all())
	}
	v.visit(t, "GET", "/?a=1&waybill=AWB-4711&b=2")
	if parameter != "AWB-4711" {
		t.Errorf("the handler sees the parameter %q, want AWB-4711", parameter)
	}
	b := newBrowser(t, serve(t, handleEdge(auth, h, waybillhttp.Cookies())))
	b.hold(mine)
	b.visit(t, "GET", "/?waybill="+theirs)
	if parameter != theirs {
		t.Error("the parameter of a client with cookies was removed")
	}
}

// A redirect to another origin carries no token.
func TestRedirectElsewhere(t *testing.T) {
	auth := authority(t)
	for _, opts := range [][]waybillhttp.EdgeOption{nil, {waybillhttp.Pages()}, {waybillhttp.Cookies()}} {
		for to, carries := range map[string]bool{
			"/next": true, "next?a=1#top": true, "https://shop.example/next": true, "HTTPS://SHOP.example:443/": true,
			"//shop.example/next": true, "?a=1": true,
			"https://evil.example/": false, "//evil.example/": false, "http://shop.example/": false,
			"https://shop.example:8443/": false, "https://shop.example@evil.example/": false, "https://a@shop.example/": false,
			`/\evil.example/`: false, `\\evil.example/`: false, "///evil.example/": false, "/\t/evil.example/": false,
			"https:evil.example": false, "https:/evil.example": false, "mailto:a@shop.example": false, "javascript:alert(1)": false,
			"": false,
		} {
			r := httptest.NewRequestWithContext(context.Background(), "POST", "https://shop.example/", nil)
			if opts == nil {
				r.Header.Set(headerKey, "")
			}
			w := httptest.NewRecorder()
			handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), cell.To("changed")))
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusSeeOther)
			}, append(opts, startIn)...).ServeHTTP(w, r)
			got := w.Header().Get("Location")
			carries = carries && w.Header()["Set-Cookie"] == nil
			if strings.Contains(got, "waybill=ey") != carries {
				t.Errorf("redirect to %q: Location %q, want a token: %v", to, got, carries)
			}
			if carries && (w.Header().Get("Referrer-Policy") != "same-origin" || w.Header().Get("Cache-Control") != "no-store") {
				t.Errorf("redirect to %q: header %v, want Referrer-Policy and no-store", to, w.Header())
			}
			if before, after, ok := strings.Cut(to, "#"); carries && ok && (!strings.HasPrefix(got, before) || !strings.HasSuffix(got, "#"+after)) {
				t.Errorf("redirect to %q: Location %q, want the fragment at the end", to, got)
			}
		}
	}
}
