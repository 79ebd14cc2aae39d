package integrationproxies

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// The claims of the shop. Every fourth change sets a claim without a rule. The others put an article into
// the basket, in place of an article of the round before.
var (
	guest  = waybill.NewClaim[string]("guest")
	tier   = waybill.NewClaim[string]("tier")
	cell   = waybill.NewClaim[string]("cell")
	basket = waybill.NewClaim[[]string]("basket").Merge(waybill.Union)
	plain  = func() (claims []waybill.Claim[string]) {
		for i := range 32 {
			claims = append(claims, waybill.NewClaim[string]("p"+strconv.Itoa(i)))
		}
		return claims
	}()
)

func declarations() []waybill.Declaration {
	all := []waybill.Declaration{guest, tier, cell, basket}
	for _, c := range plain {
		all = append(all, c)
	}
	return all
}

// view is what a handler saw of the journey.
type view struct {
	Guest  string
	Basket []string
	Plain  map[string]string
}

// missing returns the numbers of the changes of a round that the view does not contain.
func (v view) missing(round, changes int) (lost []int) {
	for i := range changes {
		if isPlain(i) && v.Plain["p"+strconv.Itoa(i)] != mark(round, i) ||
			!isPlain(i) && !slices.Contains(v.Basket, mark(round, i)) {
			lost = append(lost, i)
		}
	}
	return lost
}

// isPlain reports whether a change sets a claim without a rule.
func isPlain(i int) bool { return i%4 == 0 && i < len(plain) }

// mark is the value of a change: short, as an article's number is.
func mark(round, i int) string { return string(rune('a'+round)) + strconv.FormatInt(int64(i), 36) }

// shop is two replicas of a service at the edge.
type shop struct {
	auth     *waybill.Authority
	replicas []string
	sids     sync.Map // sid → the client that got it first

	mu     sync.Mutex
	served map[string]int // requests, by replica
	cookie int            // the greatest size of the lines that came
	header int
}

// newShop starts the replicas. They share nothing but the keys.
func newShop(t *testing.T, opts ...waybill.Option) *shop {
	t.Helper()
	s := &shop{served: map[string]int{}}
	s.start(t, opts, waybillhttp.StartWith(s.begin))
	return s
}

// newLazyShop is newShop with journeys that begin with their first claim.
func newLazyShop(t *testing.T, opts ...waybill.Option) *shop {
	t.Helper()
	s := &shop{served: map[string]int{}}
	s.start(t, opts)
	return s
}

// start starts the replicas with these options of their edges.
func (s *shop) start(t *testing.T, opts []waybill.Option, more ...waybillhttp.EdgeOption) {
	t.Helper()
	more = append(more, waybillhttp.Cookies(), waybillhttp.Logger(slog.New(slog.DiscardHandler)))
	opts = append([]waybill.Option{waybill.Claims(declarations()...), waybill.AcceptLimit(3584)}, opts...)
	for range 2 {
		auth := waybilltest.Authority(t, opts...)
		edge, err := waybillhttp.NewEdge(auth, more...)
		if err != nil {
			t.Fatal(err)
		}
		s.auth = auth
		mux := http.NewServeMux()
		mux.Handle("/", s.measured(edge.Middleware(s.pages())))
		mux.HandleFunc("GET /control/{field}", controlPage)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		s.replicas = append(s.replicas, server.Listener.Addr().String())
	}
}

// begin returns the claims of a new journey.
func (s *shop) begin(r *http.Request) ([]waybill.Change, error) {
	return []waybill.Change{
		guest.To(r.FormValue("guest")), tier.To("gold"), cell.To("eu-3"),
	}, nil
}

// measured notes the sizes of the headers that come, outside of the edge.
func (s *shop) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := func(key string) (n int) {
			for _, line := range r.Header[key] {
				n += len(key) + len(": ") + len(line) + len("\r\n")
			}
			return n
		}
		s.mu.Lock()
		s.served[r.Context().Value(http.LocalAddrContextKey).(fmt.Stringer).String()]++
		s.cookie = max(s.cookie, size("Cookie"))
		s.header = max(s.header, size("Waybill"))
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// balanced fails the test unless both replicas served requests.
func (s *shop) balanced(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.served) != len(s.replicas) {
		t.Errorf("requests by replica: %v; want some at each of %v", s.served, s.replicas)
	}
}

// report logs the greatest sizes that came since the last report.
func (s *shop) report(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("greatest Cookie lines %d bytes, greatest Waybill lines %d bytes", s.cookie, s.header)
	s.cookie, s.header = 0, 0
}

// pages are the handlers behind the edge. Each answers with what it saw before its own change.
func (s *shop) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /change/{round}/{i}", func(w http.ResponseWriter, r *http.Request) {
		round, _ := strconv.Atoi(r.PathValue("round"))
		i, _ := strconv.Atoi(r.PathValue("i"))
		saw := see(r)
		var change waybill.Change
		if isPlain(i) {
			change = plain[i].To(mark(round, i))
		} else {
			others := slices.DeleteFunc(slices.Clone(saw.Basket), func(m string) bool { return m == mark(round-1, i) })
			change = basket.To(append(others, mark(round, i)))
		}
		if err := waybill.Update(r.Context(), change); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		show(w, saw)
	})
	mux.HandleFunc("GET /cached/{kind}/{field}", cachedPage)
	mux.HandleFunc("GET /begin/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := waybill.Update(r.Context(), guest.To(r.PathValue("name"))); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { show(w, see(r)) })
	return mux
}

// see reads the claims of a request.
func see(r *http.Request) view {
	v := view{Plain: map[string]string{}}
	v.Guest, _ = guest.Get(r.Context())
	v.Basket, _ = basket.Get(r.Context())
	for i, c := range plain {
		if value, ok := c.Get(r.Context()); ok {
			v.Plain["p"+strconv.Itoa(i)] = value
		}
	}
	return v
}

func show(w http.ResponseWriter, v view) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
