package browser

import (
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// The claims of the application behind the edge.
var (
	numbered = func() (claims [changes]waybill.Claim[int]) {
		for n := range claims {
			claims[n] = waybill.NewClaim[int](fmt.Sprintf("%02x", n))
		}
		return claims
	}()
	user = waybill.NewClaim[string]("user")
	bulk = waybill.NewClaim[string]("bulk")
)

// issueLimit has room for all claims at once, and for a cookie's name.
const issueLimit = 3500

// scene is the application behind replicas of the edge.
type scene struct {
	t      *testing.T
	ahead  atomic.Int64  // of the real time, in nanoseconds
	starts atomic.Int64  // calls of start
	began  chan struct{} // /slow has begun
	finish chan struct{} // /slow may go on
	next   string        // target of /to
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, began: make(chan struct{}, 1), finish: make(chan struct{})}
}

// cookieEdges and headerEdges are replicas of an edge for TestLostUpdates. A journey in cookies begins
// with claims, so parallel first requests begin several.
func cookieEdges(t *testing.T) []http.Handler {
	s := newScene(t)
	return s.replicas(waybillhttp.Cookies(), waybillhttp.StartWith(s.start))
}

func headerEdges(t *testing.T) []http.Handler { return newScene(t).replicas() }

// replicas returns two replicas of the application, each with its own Authority.
func (s *scene) replicas(opts ...waybillhttp.EdgeOption) []http.Handler {
	s.t.Helper()
	declared := []waybill.Declaration{user, bulk}
	for _, c := range numbered {
		declared = append(declared, c)
	}
	logger := slog.New(slog.NewTextHandler(waybilltest.NewCanary(s.t).Writer("the log"), nil))
	var all []http.Handler
	for range 2 {
		auth := waybilltest.Authority(s.t, waybill.Claims(declared...), waybill.IssueLimit(issueLimit),
			waybill.Clock(func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }))
		edge, err := waybillhttp.NewEdge(auth, append(opts, waybillhttp.Logger(logger))...)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, edge.Middleware(s.guard(s.app())))
	}
	return all
}

// start counts the journeys that begin.
func (s *scene) start(*http.Request) ([]waybill.Change, error) {
	s.starts.Add(1)
	return []waybill.Change{user.To("guest")}, nil
}

// guard fails the test if a handler can see a token.
func (s *scene) guard(next http.Handler) http.Handler {
	canary := waybilltest.NewCanary(s.t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		canary.Check("the handler of "+r.URL.Path, r.URL.String(), r.RequestURI, r.Header)
		if strings.Contains(r.URL.RawQuery, "waybill=") || strings.Contains(r.Referer(), "waybill=") {
			s.t.Errorf("the handler sees the parameter: %s from %s", r.URL, r.Referer())
		}
		if err := r.ParseForm(); err == nil {
			canary.Check("the form of "+r.URL.Path, r.Form, r.PostForm)
		}
		next.ServeHTTP(w, r)
	})
}

// app returns the application.
func (s *scene) app() http.Handler {
	mux := shop{set: setNumbered, get: getNumbered}.handler(s.t)
	mux.HandleFunc("GET /form", s.page(`<form method="post" action="/go?n=7">{{.Field}}<button id="send">send</button></form>`))
	mux.HandleFunc("GET /page", s.page(`<ul>{{range .Claims}}<li>{{.}}</li>{{end}}</ul><a id="next" href="{{.Next}}">next</a>`))
	// A change, and a redirect; with hops=2 through a second redirect.
	mux.HandleFunc("POST /go", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		s.update(w, r, numbered[n].To(1))
		to := "/page"
		if r.URL.Query().Get("hops") == "2" {
			to = "/hop"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /hop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/page", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.next, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := waybill.Begin(r.Context(), user.To("ann")); err != nil {
			s.t.Error(err)
		}
		http.Redirect(w, r, "/who", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := waybill.End(r.Context()); err != nil {
			s.t.Error(err)
		}
		http.Redirect(w, r, "/who", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) {
		s.began <- struct{}{}
		<-s.finish
		s.update(w, r, numbered[9].To(1))
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		who, ok := user.Get(r.Context())
		if !ok {
			who = "nobody"
		}
		fmt.Fprint(w, who)
	})
	mux.HandleFunc("GET /sid", func(w http.ResponseWriter, r *http.Request) {
		wb, err := waybill.FromContext(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		fmt.Fprint(w, wb.ID())
	})
	mux.HandleFunc("POST /bulk", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
		if err := waybill.Update(r.Context(), bulk.To(strings.Repeat("x", size))); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})
	mux.HandleFunc("GET /image", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`)
	})
	return mux
}

// update changes claims, and fails the test if it cannot.
func (s *scene) update(w http.ResponseWriter, r *http.Request, c ...waybill.Change) {
	if err := waybill.Update(r.Context(), c...); err != nil {
		s.t.Errorf("%s: %v", r.URL, err)
	}
}

// page returns a handler of a page, which shows the claims.
func (s *scene) page(body string) http.HandlerFunc {
	page := template.Must(template.New("page").Parse("<!doctype html><title>page</title>" + body))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err := page.Execute(w, map[string]any{
			"Field": waybillhttp.Field(r.Context()), "Claims": getNumbered(r), "Next": waybillhttp.Link(r.Context(), "/claims"),
		})
		if err != nil {
			s.t.Error(err)
		}
	}
}

func setNumbered(_ http.ResponseWriter, r *http.Request, n int) error {
	return waybill.Update(r.Context(), numbered[n].To(1))
}

func getNumbered(r *http.Request) (claims []int) {
	for n, c := range numbered {
		if _, ok := c.Get(r.Context()); ok {
			claims = append(claims, n)
		}
	}
	return claims
}
