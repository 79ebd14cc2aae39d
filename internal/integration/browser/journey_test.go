package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A logout holds, although a request that was sent before it changes a claim after it. Login and
// logout redirect, as they usually do.
func TestLogout(t *testing.T) {
	for _, p := range protocols {
		for how, opts := range map[string][]waybillhttp.EdgeOption{
			"fetch": {waybillhttp.Cookies()}, "module": nil,
		} {
			t.Run(how+"/"+p.name, func(t *testing.T) {
				sc := newScene(t)
				s := serve(t, p.major, sc.replicas(opts...)...)
				tb := open(t, s, "/tab")
				ask := func(method, path string) string {
					return fmt.Sprintf(`by.%s(%q, { method: %q }).then((answer) => answer.text())`, how, path, method)
				}
				is := func(want, path string) {
					t.Helper()
					if got := eval[string](tb, ask("POST", path)); got != want {
						t.Errorf("behind %s the user is %q, want %q", path, got, want)
					}
					for range 2 {
						if got := eval[string](tb, ask("GET", "/who")); got != want {
							t.Errorf("after %s the user is %q, want %q", path, got, want)
						}
					}
				}
				eval[bool](tb, fmt.Sprintf(`change(%q, 1, 0)`, how))
				before := eval[string](tb, ask("GET", "/sid"))
				is("ann", "/login")
				if eval[string](tb, ask("GET", "/sid")) == before {
					t.Error("the login keeps the journey's id")
				}
				eval[bool](tb, `(window.slow = `+ask("POST", "/slow")+`, true)`)
				<-sc.began
				is("nobody", "/logout")
				close(sc.finish)
				eval[string](tb, `slow`)
				if got := eval[string](tb, ask("GET", "/who")); got != "nobody" {
					t.Errorf("after the slow request the user is %q", got)
				}
				if got := eval[[]int](tb, fmt.Sprintf(`claims(%q)`, how)); len(got) > 0 {
					t.Errorf("after the slow request the journey has the claims %v", got)
				}
				is("ann", "/login")
				is("nobody", "/logout")
			})
		}
	}
}

// A journey is resumed after idle minutes, and begins anew after too many.
func TestIdle(t *testing.T) {
	sc := newScene(t)
	s := serve(t, 2, sc.replicas(waybillhttp.Cookies())...)
	tb := open(t, s, "/tab")
	const sid = `fetch("/sid").then((answer) => answer.text())`
	eval[bool](tb, `change("fetch", 1, 0)`)
	before := eval[string](tb, sid)
	for _, pause := range []time.Duration{16 * time.Minute, 119 * time.Minute} {
		sc.ahead.Add(int64(pause))
		if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1}) {
			t.Errorf("after %v the claims are %v", pause, got)
		}
		if got := eval[string](tb, sid); got != before {
			t.Errorf("after %v the journey is %s, want %s", pause, got, before)
		}
	}
	sc.ahead.Add(int64(136 * time.Minute))
	if got := eval[[]int](tb, `claims("fetch")`); len(got) > 0 {
		t.Errorf("after 136 minutes the claims are %v", got)
	}
	eval[bool](tb, `change("fetch", 2, 0)`)
	if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{2}) {
		t.Errorf("the new journey has the claims %v", got)
	}
	if n := len(tb.cookies()); n != 1 {
		t.Errorf("%d cookies", n)
	}
}

// A page of a sibling domain, whose requests have the cookies, changes nothing.
func TestForgery(t *testing.T) {
	s := serve(t, 2, newScene(t).replicas(waybillhttp.Cookies())...)
	tb, foreign := open(t, s, "/tab"), open(t, serve(t, 2), "/tab")
	eval[bool](tb, `change("fetch", 1, 0)`)
	eval[bool](foreign, fmt.Sprintf(`fetch("%s/change?n=2&ms=0",
		{ method: "POST", mode: "no-cors", credentials: "include" }).then(() => true)`, s.url))
	came := s.requests()
	if last := came[len(came)-1]; last.Header.Get("Sec-Fetch-Site") != "same-site" || len(last.Cookies()) == 0 {
		t.Errorf("the forged request came as %v", last.Header)
	}
	if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1}) {
		t.Errorf("claims: %v", got)
	}
}

// A second tab is on the same journey, and no script can read it.
func TestSecondTab(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			s := serve(t, p.major, newScene(t).replicas(waybillhttp.Cookies())...)
			first, second := open(t, s, "/tab"), open(t, s, "/tab")
			const sid = `fetch("/sid").then((answer) => answer.text())`
			eval[bool](first, `change("fetch", 1, 0)`)
			eval[bool](second, `change("fetch", 2, 0)`)
			for _, tb := range []*tab{first, second} {
				if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1, 2}) {
					t.Errorf("claims: %v", got)
				}
				if got := eval[string](tb, `document.cookie`); got != "" {
					t.Errorf("a script reads %q", got)
				}
			}
			if a, b := eval[string](first, sid), eval[string](second, sid); a != b || a == "" {
				t.Errorf("the tabs are on the journeys %q and %q", a, b)
			}
			jar := first.cookies()
			if len(jar) != 1 {
				t.Fatalf("%d cookies", len(jar))
			}
			c := jar[0]
			if !strings.HasPrefix(c.Name, "__Host-wb-") || !c.HTTPOnly || !c.Secure || c.Path != "/" ||
				c.SameSite != network.CookieSameSiteLax || c.Session {
				t.Errorf("cookie: %+v", c)
			}
		})
	}
}

// Many reads that renew the token at once leave one cookie.
func TestRenewal(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			sc := newScene(t)
			s := serve(t, p.major, sc.replicas(waybillhttp.Cookies())...)
			tb := open(t, s, "/tab")
			eval[bool](tb, `change("fetch", 1, 0)`)
			before := tb.cookies()
			sc.ahead.Store(int64(10 * time.Minute))
			eval[bool](tb, `Promise.all(Array.from({ length: 50 }, () => claims("fetch"))).then(() => true)`)
			after := tb.cookies()
			if len(before) != 1 || len(after) != 1 || before[0].Value == after[0].Value {
				t.Errorf("%d cookies before the renewal, %d after it", len(before), len(after))
			}
			if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1}) {
				t.Errorf("claims: %v", got)
			}
		})
	}
}

// A token that fills its cookie is kept by the browser. One that would be too large is refused
// where the handler sees it, and the browser keeps what it has.
func TestLargeCookie(t *testing.T) {
	s := serve(t, 2, newScene(t).replicas(waybillhttp.Cookies())...)
	tb := open(t, s, "/tab")
	bulk := func(size int) int {
		return eval[int](tb, fmt.Sprintf(`fetch("/bulk?bytes=%d", { method: "POST" }).then((answer) => answer.status)`, size))
	}
	eval[bool](tb, `change("fetch", 1, 0)`)
	fits := 0
	for size := 1800; size < 4000; size += 100 {
		status := bulk(size)
		if status == 413 {
			break
		}
		fits = size
		if jar := tb.cookies(); len(jar) != 1 || len(jar[0].Value) < size {
			t.Fatalf("a claim of %d bytes: %d cookies", size, len(jar))
		}
	}
	t.Logf("a claim of %d bytes fits", fits)
	before := tb.cookies()
	for range 2 {
		if status := bulk(4000); status != 413 {
			t.Errorf("status %d for a claim that does not fit", status)
		}
	}
	if after := tb.cookies(); len(after) != 1 || after[0].Value != before[0].Value {
		t.Errorf("the jar has changed: %d cookies", len(after))
	}
	if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1}) {
		t.Errorf("claims: %v", got)
	}
}

// Cookies that are no tokens cost no change, and are removed by the next answers: one answer removes as
// many as fit into its header.
func TestRubbish(t *testing.T) {
	s := serve(t, 2, newScene(t).replicas(waybillhttp.Cookies())...)
	tb := open(t, s, "/tab")
	eval[bool](tb, `change("fetch", 1, 0)`)
	good := tb.cookies()
	rubbish := []*network.CookieParam{{Name: "__Host-wb-halfpart", Value: good[0].Value[:len(good[0].Value)/2]}}
	for n := range 60 {
		rubbish = append(rubbish, &network.CookieParam{Name: fmt.Sprintf("__Host-wb-%08d", n), Value: strings.Repeat("x", 300)})
	}
	for _, c := range rubbish {
		c.URL, c.Path, c.Secure = s.url+"/", "/", true
	}
	tb.setCookies(rubbish...)
	if n := len(tb.cookies()); n != 1+len(rubbish) {
		t.Fatalf("%d cookies are planted", n)
	}
	for range 3 {
		if got := eval[[]int](tb, `claims("fetch")`); !slices.Equal(got, []int{1}) {
			t.Errorf("claims: %v", got)
		}
	}
	if n := len(tb.cookies()); n != 1 {
		t.Errorf("%d cookies are left after three answers", n)
	}
	if !eval[bool](tb, `change("fetch", 2, 0)`) || !slices.Equal(eval[[]int](tb, `claims("fetch")`), []int{1, 2}) {
		t.Error("the journey does not go on")
	}
}

// Preflights, images and prefetches begin no journey; a page does.
func TestBeginsNothing(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			sc := newScene(t)
			s := serve(t, p.major, sc.replicas(waybillhttp.Cookies(), waybillhttp.StartWith(sc.start))...)
			tb := open(t, s, "/tab")
			foreign := open(t, serve(t, p.major), "/tab")
			eval[bool](tb, `new Promise((done) => {
				const image = new Image();
				image.onload = image.onerror = () => done(true);
				image.src = "/image";
			})`)
			eval[bool](tb, `new Promise((done) => {
				const link = document.createElement("link");
				link.rel = "prefetch";
				link.href = "/page";
				link.onload = link.onerror = () => done(true);
				document.head.append(link);
			})`)
			eval[bool](foreign, fmt.Sprintf(`fetch("%s/claims", { method: "PUT", credentials: "include" }).then(() => true, () => false)`, s.url))
			var came []string
			for _, r := range s.requests() {
				came = append(came, r.Method+" "+r.URL.Path+" "+r.Header.Get("Sec-Fetch-Dest")+r.Header.Get("Sec-Purpose"))
			}
			for _, want := range []string{"GET /image image", "GET /page emptyprefetch", "OPTIONS /claims empty"} {
				if !slices.Contains(came, want) {
					t.Errorf("the browser did not send %q: %q", want, came)
				}
			}
			if n := sc.starts.Load(); n != 0 {
				t.Errorf("start was called %d times by %q", n, came)
			}
			if jar := tb.cookies(); len(jar) > 0 {
				t.Errorf("%d cookies", len(jar))
			}
			tb.visit("/page")
			if n := sc.starts.Load(); n != 1 || len(tb.cookies()) != 1 {
				t.Errorf("a page: start was called %d times, %d cookies", n, len(tb.cookies()))
			}
		})
	}
}

// A page that holds its journey in links tells no other site of it.
func TestReferer(t *testing.T) {
	other := serve(t, 2, echoReferer{t})
	s := serve(t, 2, newScene(t).replicas(waybillhttp.Pages())...)
	tb := open(t, s, "/form")
	tb.follow("#send")
	if !strings.Contains(eval[string](tb, `location.href`), "waybill=") {
		t.Error("the page's address does not hold the journey")
	}
	eval[bool](tb, fmt.Sprintf(`new Promise((done) => {
		const image = new Image();
		image.onload = image.onerror = () => done(true);
		image.src = "%s/image";
	})`, other.url))
	if n := len(other.requests()); n != 1 {
		t.Fatalf("%d requests to the other site", n)
	}
	// Same-origin requests may have a Referer: the guard of the handlers looks at it.
	eval[bool](tb, `fetch("/claims").then((answer) => answer.ok)`)
}
