package waybillhttp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// jarClaims are claims without a rule, one for each change; other changes add to the claim tags.
var jarClaims = func() (claims []waybill.Claim[int]) {
	for i := range 150 {
		claims = append(claims, waybill.NewClaim[int](fmt.Sprintf("n%d", i)))
	}
	return claims
}()

// jarAuthority is the Authority of one replica of the edge. Its tokens have room for all these claims.
func jarAuthority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	opts = append(opts, waybill.IssueLimit(waybill.DefaultAcceptLimit))
	for _, c := range jarClaims {
		opts = append(opts, waybill.Claims(c))
	}
	return authority(t, opts...)
}

// jarShop is an edge whose handler changes claims. It calls pause first.
func jarShop(t testing.TB, auth *waybill.Authority, pause func(*http.Request), opts ...waybillhttp.EdgeOption) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/add", func(w http.ResponseWriter, r *http.Request) {
		pause(r)
		var n int
		fmt.Sscan(r.FormValue("n"), &n)
		change := jarClaims[n].To(1)
		if n%10 == 1 {
			now, _ := tags.Get(r.Context())
			change = tags.To(append(now, fmt.Sprint(n)))
		}
		if err := waybill.Update(r.Context(), change); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if to := r.FormValue("to"); to != "" {
			http.Redirect(w, r, to, http.StatusSeeOther)
		}
	})
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) { check(t, waybill.End(r.Context())) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header[headerKey] != nil || strings.Contains(r.RequestURI, "waybill") {
			t.Errorf("the handler sees a token: %s %v", r.RequestURI, r.Header)
		}
		wb, _ := waybill.FromContext(r.Context())
		fmt.Fprint(w, len(jarChanges(wb)), " ", r.RequestURI)
	})
	return must(waybillhttp.NewEdge(auth, append(opts, waybillhttp.Logger(nolog))...)).Middleware(mux)
}

// atOnce is a pause for handlers that return at once.
func atOnce(*http.Request) {}

// jarChanges returns the changes that a waybill includes.
func jarChanges(wb *waybill.Waybill) map[int]bool {
	all := map[int]bool{}
	for i, c := range jarClaims {
		if _, ok := c.Of(wb); ok {
			all[i] = true
		}
	}
	added, _ := tags.Of(wb)
	for _, tag := range added {
		var n int
		fmt.Sscan(tag, &n)
		all[n] = true
	}
	return all
}

// 150 changes at once over two replicas, some of them given up by the client: no change that was
// answered is lost, over both protocols and with each protection.
func TestJarAtAnEdge(t *testing.T) {
	start := waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) {
		return []waybill.Change{cell.To("eu-3")}, nil
	})
	for _, p := range protocols {
		for _, tt := range []struct {
			name       string
			protection waybill.Protection
			opts       []waybillhttp.EdgeOption
		}{
			{"lazy, signed", waybill.Signed, nil},
			{"begun, sealed", waybill.Sealed, []waybillhttp.EdgeOption{start}},
			{"with cookies, public", waybill.Public, []waybillhttp.EdgeOption{waybillhttp.Cookies()}},
		} {
			for name, given := range map[string]int{"none given up": 0, "a third given up": 3} {
				if given > 0 && tt.opts != nil {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s", p.name, tt.name, name), func(t *testing.T) {
					replica := func() http.Handler {
						// Handlers take 0 to 39 ms, so that answers change their order.
						pause := func(r *http.Request) { time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond) }
						return jarShop(t, jarAuthority(t, waybill.Protect(tt.protection)), pause, tt.opts...)
					}
					base, origin := replicas(t, p.major == 2, replica(), replica())
					j := jar(t, base, origin)
					c := &http.Client{Transport: j}
					answered := make([]bool, 150)
					var all sync.WaitGroup
					for i := range answered {
						all.Go(func() {
							ctx, cancel := context.WithCancel(t.Context())
							defer cancel()
							if given > 0 && i%given == 0 {
								time.AfterFunc(time.Duration(i)*time.Millisecond, cancel)
							}
							r := request(t, ctx, "POST", fmt.Sprintf("%s/add?n=%d", origin, i))
							resp, err := c.Do(r)
							if err != nil {
								if !errors.Is(err, context.Canceled) {
									t.Error(err)
								}
								return
							}
							resp.Body.Close()
							if answered[i] = resp.StatusCode == 200; !answered[i] {
								t.Errorf("change %d: %s", i, resp.Status)
							}
						})
					}
					all.Wait()
					get(t, t.Context(), c, origin) // merges
					held := j.Tokens()
					if len(held) != 1 {
						t.Fatalf("the jar holds %d tokens after a request that was alone, want 1", len(held))
					}
					wb, err := jarAuthority(t, waybill.Protect(tt.protection)).Open(held[0])
					if err != nil {
						t.Fatal(err)
					}
					now, lost := jarChanges(wb), 0
					for i, ok := range answered {
						if !now[i] && (ok || given == 0) {
							lost++
						}
					}
					if lost > 0 {
						t.Errorf("%d of 150 changes are lost", lost)
					}
				})
			}
		}
	}
}

// The page behind a redirect sees the change, and so does the next request.
func TestJarRedirectAtAnEdge(t *testing.T) {
	base, origin := replicas(t, true, jarShop(t, jarAuthority(t), atOnce), jarShop(t, jarAuthority(t), atOnce))
	c := &http.Client{Transport: jar(t, base, origin)}
	for i, to := range []string{"/page", origin + "/page?x=1", "page?y=%2F#f", "?"} {
		a := do(t, c, request(t, t.Context(), "POST", fmt.Sprintf("%s/add?n=%d&to=%s", origin, i, url.QueryEscape(to))))
		if to != "?" && (a.Request.URL.Path != "/page" || !strings.HasPrefix(a.body, fmt.Sprint(i+1, " /page"))) {
			t.Errorf("redirect to %s: the page at %s says %s, want %d changes", to, a.Request.URL, a.body, i+1)
		}
		if next := get(t, t.Context(), c, origin); next.body != fmt.Sprint(i+1, " /") {
			t.Errorf("redirect to %s: the next page says %s, want %d changes", to, next.body, i+1)
		}
	}
}

// What an edge does not accept is forgotten, so that the third request at the latest is on a journey.
func TestJarIsNotLockedOut(t *testing.T) {
	auth := jarAuthority(t)
	old := issue(t, jarAuthority(t, at(-5*time.Hour)), cell.To("eu-3"))
	foreign := issue(t, exampleAuthority(), Cell.To("eu-3"))
	good := issue(t, auth, cell.To("eu-3"))
	forged := good[:len(good)-4] + "AAAA"
	for name, tokens := range map[string][]string{
		"none": nil, "no tokens": {"a", "b.c", "d.e.f"}, "expired": {old}, "of another domain": {foreign},
		"half a token": {old[:len(old)/2]}, "forged": {forged}, "all of them": {"a", forged, old, foreign, issue(t, auth, cell.To("eu-4"))},
		"too many": slices.Repeat([]string{issue(t, auth, cell.To("eu-5"))}, 200),
	} {
		base, origin := replicas(t, false, jarShop(t, auth, atOnce), jarShop(t, jarAuthority(t), atOnce))
		j := jar(t, base, origin)
		c := &http.Client{Transport: j}
		j.Restore(tokens)
		for range 2 {
			if a := do(t, c, request(t, t.Context(), "POST", origin+"/add?n=20")); a.StatusCode != 200 {
				t.Errorf("%s: got %s", name, a.Status)
			}
		}
		if a := get(t, t.Context(), c, origin); a.body != "1 /" || len(j.Tokens()) != 1 {
			t.Errorf("%s: the page says %s and the jar holds %d tokens, want one of each", name, a.body, len(j.Tokens()))
		}
	}
}

// A change that was under way while the client ended its journey does not bring the journey back.
func TestJarAfterEnd(t *testing.T) {
	arrived, end := make(chan bool), make(chan bool)
	pause := func(r *http.Request) {
		if r.FormValue("slow") != "" {
			arrived <- true
			<-end
		}
	}
	base, origin := replicas(t, false, jarShop(t, jarAuthority(t), pause), jarShop(t, jarAuthority(t), pause))
	c := &http.Client{Transport: jar(t, base, origin)}
	do(t, c, request(t, t.Context(), "POST", origin+"/add?n=20"))
	var slow sync.WaitGroup
	for i := range 4 {
		slow.Go(func() {
			resp, err := c.Post(fmt.Sprintf("%s/add?slow=1&n=%d", origin, i), "", nil)
			check(t, err)
			resp.Body.Close()
		})
		<-arrived
	}
	do(t, c, request(t, t.Context(), "POST", origin+"/add?n=21"))
	do(t, c, request(t, t.Context(), "POST", origin+"/end"))
	close(end)
	slow.Wait()
	if a := get(t, t.Context(), c, origin); a.body != "0 /" {
		t.Errorf("the page says %s, want no changes", a.body)
	}
}
