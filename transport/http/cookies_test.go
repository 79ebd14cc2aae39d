package waybillhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// ask sends one request to a handler, with these Cookie lines, and returns the Set-Cookie lines.
func ask(t testing.TB, h http.Handler, cookies ...string) []string {
	t.Helper()
	r := httptest.NewRequest("GET", "https://shop.example/", nil)
	if cookies != nil {
		r.Header["Cookie"] = cookies
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Header()[returnKey] != nil {
		t.Errorf("got %d, header %v; want 200 and no token in a header", w.Code, w.Header())
	}
	return w.Header()["Set-Cookie"]
}

func TestCookieAttributes(t *testing.T) {
	auth := authority(t)
	const token = `eyJ[\w-]+\.[\w-]+\.[\w-]+`
	for _, tt := range []struct {
		opts       []waybillhttp.CookieOption
		set, prune string
	}{
		{nil, `__Host-wb-[\w-]{8}=` + token + `; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200`,
			`__Host-wb-old=; Path=/; Secure; Max-Age=0`},
		{[]waybillhttp.CookieOption{waybillhttp.CookieName("shop")},
			`__Host-shop-[\w-]{8}=` + token + `; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200`,
			`__Host-shop-old=; Path=/; Secure; Max-Age=0`},
		{[]waybillhttp.CookieOption{waybillhttp.CookieDomain("example.com")},
			`__Secure-wb-[\w-]{8}=` + token + `; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax; Max-Age=43200`,
			`__Secure-wb-old=; Path=/; Domain=example.com; Secure; Max-Age=0`},
		{[]waybillhttp.CookieOption{waybillhttp.InsecureCookies(), waybillhttp.CookieName("dev")},
			`dev-[\w-]{8}=` + token + `; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200`,
			`dev-old=; Path=/; Max-Age=0`},
	} {
		h := handleEdge(auth, reporter(t), waybillhttp.Cookies(tt.opts...), startIn)
		prefix, _, _ := strings.Cut(tt.prune, "old")
		lines := ask(t, h, "a=1; "+prefix+"old=garbage; b=2")
		if len(lines) != 2 || !regexp.MustCompile("^"+tt.set+"$").MatchString(lines[0]) || lines[1] != tt.prune {
			t.Errorf("got %q, want %q and then %q", lines, tt.set, tt.prune)
		}
	}
}

// The name of a cookie is its token's. Renewals of the same tokens in parallel leave one cookie.
func TestParallelRenewals(t *testing.T) {
	auth := authority(t)
	s := serve(t, handleEdge(auth, reporter(t), waybillhttp.Cookies()))
	b := newBrowser(t, s)
	b.hold(issue(t, authority(t, at(-10*time.Minute)), cell.To("kept")))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { b.visit(t, "GET", "/") })
	}
	all.Wait()
	if n := len(b.held()); n != 1 {
		t.Errorf("50 parallel renewals leave %d cookies, want 1", n)
	}
	if a := b.visit(t, "GET", "/"); a.cell != "kept" || a.Header["Set-Cookie"] != nil {
		t.Errorf("afterwards: cell %q, Set-Cookie %q; want kept and no cookie", a.cell, a.Header["Set-Cookie"])
	}
}

// Parallel changes, each of another claim or element, are all kept.
func TestParallelChanges(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		for _, c := range carriers[:1] {
			s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					tag := strings.TrimPrefix(r.URL.Path, "/")
					check(t, waybill.Update(r.Context(), tags.With(func(now []string) []string { return append(now, tag) })))
				}
				got, _ := tags.Get(r.Context())
				fmt.Fprintf(w, "cell=%d\n", len(got))
			}, c.options...))
			b := c.visitor(t, s)
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() { b.visit(t, "POST", fmt.Sprintf("/tag%d", i)) })
			}
			all.Wait()
			if a := b.visit(t, "GET", "/"); a.cell != "12" {
				t.Errorf("%s %s: %s of 12 tags", protection, c.name, a.cell)
			}
			if a := b.visit(t, "GET", "/"); a.cell != "12" || len(b.held()) != 1 {
				t.Errorf("%s %s: %s of 12 tags, %d tokens; want 1", protection, c.name, a.cell, len(b.held()))
			}
		}
	}
}

// Whatever has a name with our prefix is forgotten under the name that it has, and is hidden from
// the handler. Everything else stays.
func TestPlantedCookies(t *testing.T) {
	auth := authority(t)
	good := issue(t, auth, cell.To("kept"))
	var cookies, want string
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if got := strings.Join(r.Header["Cookie"], " | "); got != want {
			t.Errorf("%s: the handler sees %q, want %q", cookies, got, want)
		}
		if got, _ := cell.Get(r.Context()); got != "kept" {
			t.Errorf("%s: cell %q, want kept", cookies, got)
		}
	}, waybillhttp.Cookies())
	expired := func(names ...string) (lines []string) {
		for _, name := range names {
			lines = append(lines, "__Host-wb-"+name+"=; Path=/; Secure; Max-Age=0")
		}
		return lines
	}
	for _, tt := range []struct {
		cookies string
		shown   string
		forgets []string
	}{
		{"__Host-wb-a=" + good, "", nil},
		{"x=1; __Host-wb-a=" + good + ";y=2", "x=1; y=2", nil},
		{"__Host-wb-a=" + good + "; __Host-wb-b=" + good, "", nil}, // one token
		{"__Host-wb-a=" + good + "; __Host-wb-b=garbage; __Host-wb-b=garbage; c", "c", expired("a", "b")},
		{"__Host-wb-a=" + good + `; __Host-wb-b="quoted, and more"`, "", expired("a", "b")},
		{"__Host-wb-a=" + good + "; __Host-wb-(b)=1", "", expired("a", "(b)")},
		{"__Host-wb-a=" + good + "; __Host-wb-b=", "", expired("a", "b")},
		{"__Host-wb-a=" + good + "; __Host-wb-b", "", expired("a", "b")},
		{"__Host-wb-a=" + good + "; __Host-wb-=x", "", expired("a", "")},
		{"__Host-wb-a=" + good + "; __host-wb-b=x; wb-c=y", "__host-wb-b=x; wb-c=y", nil},
		{"__Host-wb-a=" + good + "; note=__Host-wb-b=z", "note=__Host-wb-b=z", nil},
	} {
		cookies, want = strings.ReplaceAll(tt.cookies, good, "GOOD"), tt.shown
		lines := ask(t, h, tt.cookies)
		if tt.forgets == nil {
			if lines != nil {
				t.Errorf("%s: Set-Cookie %q, want none", cookies, lines)
			}
			continue
		}
		if len(lines) == 0 || !strings.Contains(lines[0], "=eyJ") || !slices.Equal(lines[1:], tt.forgets) {
			t.Errorf("%s: Set-Cookie %q, want a token and then %q", cookies, lines, tt.forgets)
		}
	}
}

// Cookies win over the header, which is counted. A client with the header and no cookies is
// answered by header.
func TestTwoCarriers(t *testing.T) {
	auth := authority(t)
	m := &meter{}
	s := serve(t, handleEdge(auth, reporter(t), waybillhttp.Cookies(), startIn, waybillhttp.MeterProvider(m)))
	mine, other := issue(t, auth, cell.To("cookie")), issue(t, auth, cell.To("header"))
	for _, tt := range []struct {
		header  []string
		cookie  bool
		cell    string
		by      string
		ignored int64
	}{
		{nil, false, "new", "Set-Cookie", 0},
		{nil, true, "cookie", "", 0},
		{[]string{""}, false, "new", returnKey, 0},
		{[]string{""}, true, "cookie", "", 0},
		{[]string{other}, false, "header", "", 0},
		{[]string{other}, true, "cookie", "", 1},
	} {
		b := newBrowser(t, s)
		b.header = http.Header{headerKey: tt.header}
		if tt.cookie {
			b.hold(mine)
		}
		before := m.count("waybill.forget", "other_carrier")
		a := b.visit(t, "GET", "/")
		by := ""
		for _, name := range []string{"Set-Cookie", returnKey} {
			if a.Header[name] != nil {
				by += name
			}
		}
		ignored := m.count("waybill.forget", "other_carrier") - before
		if a.cell != tt.cell || by != tt.by || ignored != tt.ignored {
			t.Errorf("header of %d values, cookie %v: cell %q, answered by %q, %d ignored; want %q, %q, %d",
				len(tt.header), tt.cookie, a.cell, by, ignored, tt.cell, tt.by, tt.ignored)
		}
	}
}

// A cookie is not changed after the header was sent, and there are no trailers. A handler that
// panics, or whose change does not fit, expires nothing.
func TestNothingIsExpired(t *testing.T) {
	auth := authority(t, waybill.AcceptLimit(3584), waybill.IssueLimit(3584))
	late := make(chan error, 1)
	for _, p := range protocols {
		s := p.start(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/late":
				flushed(w)
				late <- waybill.Update(r.Context(), cell.To("late"))
			case "/panic":
				check(t, waybill.Update(r.Context(), cell.To("lost")))
				panic(http.ErrAbortHandler)
			case "/recovered":
				check(t, waybill.Update(r.Context(), cell.To("lost")))
				w.Header().Set("Set-Cookie", "theirs=1")
				panic("recovered")
			case "/large":
				check(t, waybill.Update(r.Context(), cell.To(strings.Repeat("x", 2200))))
				w.Header().Set("X-Large", strings.Repeat("y", 1500))
			}
		}, waybillhttp.Cookies(), waybillhttp.Logger(nolog)))
		for _, path := range []string{"/late", "/panic", "/recovered", "/large"} {
			b := newBrowser(t, s)
			b.hold(issue(t, auth, cell.To("kept")))
			r := request(t, t.Context(), "GET", s.URL+path)
			r.Header.Set("Te", "trailers")
			resp, err := b.Do(r)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			switch {
			case path == "/panic" || path == "/recovered":
				if err == nil {
					t.Errorf("%s %s: an answer, want none", p.name, path)
				}
			case path == "/late":
				if err := <-late; !errors.Is(err, waybill.ErrTooLate) {
					t.Errorf("%s: a late Update gives %v, want ErrTooLate", p.name, err)
				}
				if len(resp.Trailer) != 0 {
					t.Errorf("%s: trailer %v, want none", p.name, resp.Trailer)
				}
			case resp.Header["Set-Cookie"] != nil:
				t.Errorf("%s %s: Set-Cookie %q, want none", p.name, path, resp.Header["Set-Cookie"])
			}
			if held := b.held(); len(held) != 1 {
				t.Errorf("%s %s: the client holds %d tokens, want what it held, or its renewal", p.name, path, len(held))
			}
		}
	}
}

// A recovering layer outside of the edge answers without our cookies, and keeps the other ones.
func TestRecoveredPanicSetsNoCookie(t *testing.T) {
	auth := authority(t)
	h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "theirs=1")
		w.Header().Add("Set-Cookie", "__Host-wb-upstream=copied")
		check(t, waybill.Update(r.Context(), cell.To("lost")))
		panic("recovered")
	}, waybillhttp.Cookies())
	w := httptest.NewRecorder()
	func() {
		defer func() {
			recover()
			w.WriteHeader(500)
		}()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}()
	if got := w.Header()["Set-Cookie"]; len(got) != 1 || got[0] != "theirs=1" {
		t.Errorf("Set-Cookie %q, want only the application's", got)
	}
}

// A proxy that copies the response of another edge sets no cookie with our names.
func TestCopiedCookiesAreReplaced(t *testing.T) {
	auth := authority(t)
	h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "__Host-wb-upstream=copied; Path=/; Secure")
		w.Header().Add("Set-Cookie", "theirs=1")
	}, waybillhttp.Cookies(), startIn)
	lines := ask(t, h)
	if len(lines) != 2 || lines[0] != "theirs=1" || !strings.Contains(lines[1], "=eyJ") {
		t.Errorf("Set-Cookie %q, want the application's and the edge's", lines)
	}
	if lines := ask(t, h, "__Host-wb-a="+issue(t, auth)); len(lines) != 1 || lines[0] != "theirs=1" {
		t.Errorf("Set-Cookie %q, want the application's", lines)
	}
}

// The answer to many cookies stays within the header budget, so that a proxy accepts it: a client
// is told in parts what to forget.
func TestManyCookies(t *testing.T) {
	auth := authority(t)
	h := handleEdge(auth, reporter(t), waybillhttp.Cookies(), startIn, waybillhttp.Logger(nolog))
	size := func(lines []string) (n int) {
		for _, line := range lines {
			n += len("Set-Cookie: ") + len(line) + 2
		}
		return n
	}
	var short, tokens []string
	for i := range 180 {
		short = append(short, fmt.Sprintf("__Host-wb-%d=x", i))
	}
	for range 100 {
		tokens = append(tokens, fmt.Sprintf("__Host-wb-%d=%s", len(tokens), issue(t, auth, cell.To("kept"))))
	}
	for name, left := range map[string][]string{"short cookies": short, "tokens": tokens} {
		for rounds := 0; len(left) > 1; rounds++ { // one good token alone is kept
			if rounds == 5 {
				t.Errorf("%s: %d are left after %d answers", name, len(left), rounds)
				break
			}
			lines := ask(t, h, strings.Join(left, "; "))
			if n := size(lines); n > 4096 {
				t.Errorf("%d %s: %d bytes of answer, want at most 4,096", len(left), name, n)
			}
			left = slices.DeleteFunc(left, func(c string) bool {
				name, _, _ := strings.Cut(c, "=")
				return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=;") })
			})
		}
	}
}

// Where an answer has room for a part of the expiries, parallel answers expire different parts: a
// set that grows in parallel requests shrinks again.
func TestParallelAnswersExpireDifferentCookies(t *testing.T) {
	auth := authority(t)
	h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), cell.To(r.URL.RawQuery)))
	}, waybillhttp.Cookies(), waybillhttp.Logger(nolog))
	first := issue(t, auth, tenant.To("a"))
	var cookies []string
	for i := range 120 {
		cookies = append(cookies, fmt.Sprintf("__Host-wb-%08d=%s", i, changedBy(t, auth, first, fmt.Sprint(i))))
	}
	expired := map[string]bool{}
	for i := range 30 {
		r := httptest.NewRequest("POST", fmt.Sprintf("/?%d", i), nil)
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for _, line := range w.Header()["Set-Cookie"] {
			if name, _, ok := strings.Cut(line, "=;"); ok {
				expired[name] = true
			}
		}
	}
	if n := len(expired); n < 115 {
		t.Errorf("30 parallel answers expire %d of 120 cookies, want nearly all", n)
	}
}

// More tokens than an edge uses are forgotten, and counted.
func TestOverflow(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers[:2] {
		most := map[string]int{"cookies": 192, "header": 32}[c.name]
		for _, extra := range []int{0, 3} {
			m := &meter{}
			s := serve(t, handleEdge(auth, reporter(t), append(c.options, startIn, waybillhttp.MeterProvider(m), waybillhttp.Logger(nolog))...))
			v := c.visitor(t, s)
			var tokens []string
			for i := range most + extra {
				tokens = append(tokens, changedBy(t, auth, issue(t, auth, tenant.To("a")), fmt.Sprint(i)))
			}
			v.hold(tokens...)
			if a := v.visit(t, "GET", "/"); a.StatusCode != 200 {
				t.Errorf("%s: %d, want 200", c.name, a.StatusCode)
			}
			if n := m.count("waybill.forget", "overflow"); n != int64(extra) {
				t.Errorf("%s: %d tokens overflow, want %d", c.name, n, extra)
			}
			for range 5 { // an answer has room for a part of the expiries
				v.visit(t, "GET", "/")
			}
			if n := len(v.held()); n != 1 {
				t.Errorf("%s: the client holds %d tokens, want 1", c.name, n)
			}
		}
	}
}

// changedBy returns the token that an edge gives to a client whose request sets the cell.
func changedBy(t testing.TB, auth *waybill.Authority, token, value string) string {
	t.Helper()
	ctx, hop := auth.ReceiveClient(t.Context(), waybill.Client{Tokens: []string{token}, Source: new(int)})
	check(t, waybill.Update(ctx, cell.To(value)))
	tokens := hop.Commit(waybill.Succeeded)
	if len(tokens) != 1 {
		t.Fatalf("%d tokens, want 1", len(tokens))
	}
	return tokens[0]
}

// A logout, and a login, are not undone by a slow request that changes a claim meanwhile.
func TestSlowRequestDuringLogout(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		for _, c := range carriers[:2] {
			for _, path := range []string{"/logout", "/login"} {
				t.Run(protection+"/"+c.name+path, func(t *testing.T) {
					under, over := make(chan bool), make(chan bool)
					report := reporter(t)
					s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/cell=slow" {
							under <- true
							<-over
						}
						report(w, r)
					}, append(c.options, startIn)...))
					v := c.visitor(t, s)
					before := v.visit(t, "GET", "/")
					token := v.held()[0]
					done := make(chan outcome)
					go func() {
						slow := c.visitor(t, s)
						slow.hold(token)
						a := slow.visit(t, "POST", "/cell=slow")
						done <- outcome{a.StatusCode, slow.held()}
					}()
					<-under
					after := v.visit(t, "POST", path)
					over <- true
					slow := <-done
					if slow.status != 200 {
						t.Fatalf("the slow request: %d", slow.status)
					}
					v.hold(slow.tokens...) // its answer comes last
					for range 2 {
						a := v.visit(t, "GET", "/")
						if a.cell == "slow" || a.sid == before.sid || a.sid != after.sid {
							t.Errorf("after %s: cell %q in journey %q, was %q, then %q; want the journey of %s to stay",
								path, a.cell, a.sid, before.sid, after.sid, path)
						}
					}
				})
			}
		}
	}
}

// outcome is what a slow request brought.
type outcome struct {
	status int
	tokens []string
}
