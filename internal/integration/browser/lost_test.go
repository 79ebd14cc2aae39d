package browser

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

const (
	tabs    = 3
	perTab  = 50
	changes = tabs * perTab
	longest = 40  // ms of a handler
	latest  = 300 // ms until a request is aborted
)

// contender is a way to keep a client's state, under the same script.
type contender struct {
	name     string
	replicas func(*testing.T) []http.Handler
	how      string // the page's fetch
	aborts   bool   // a third of the requests
	loses    bool   // it must, else the script shows nothing
}

var contenders = []contender{
	{name: "HttpOnly cookies, no script", replicas: cookieEdges, how: "fetch"},
	{name: "HttpOnly cookies, a third aborted", replicas: cookieEdges, how: "fetch", aborts: true},
	{name: "cookies, the module queues", replicas: cookieEdges, how: "queue"},
	{name: "module in memory, a journey for each tab", replicas: headerEdges, how: "module"},
	{name: "module in memory, a third aborted", replicas: headerEdges, how: "module", aborts: true},
	{name: "one cookie, the last update wins", replicas: oneCookie, how: "fetch", loses: true},
	{name: "scs/v2, memory store", replicas: scsSessions, how: "fetch", loses: true},
	{name: "gorilla/sessions, CookieStore", replicas: gorillaSessions, how: "fetch", loses: true},
}

// TestLostUpdates sends 150 changes at once from three tabs, and counts the acknowledged ones that
// a later read does not see.
func TestLostUpdates(t *testing.T) {
	browse(t)
	var pages [tabs]*tab
	for i := range pages {
		pages[i] = open(t, serve(t, 2), "/tab")
	}
	results := map[string]map[string]result{}
	for _, c := range contenders {
		results[c.name] = map[string]result{}
		for _, p := range protocols {
			t.Run(c.name+"/"+p.name, func(t *testing.T) {
				s := serve(t, p.major, c.replicas(t)...)
				for _, page := range pages {
					page.moved(t, s, "/tab")
				}
				r := run(t, c, pages)
				r.most = s.most
				results[c.name][p.name] = r
				if c.loses != (r.lost > 0) {
					t.Errorf("%d of %d acknowledged changes are lost", r.lost, r.acknowledged)
				}
				if atLeast := changes / 2; r.acknowledged < atLeast {
					t.Errorf("only %d of %d changes were acknowledged", r.acknowledged, changes)
				}
			})
		}
	}
	if !t.Failed() {
		publish(t, results)
	}
}

// result is the outcome of one contender over one protocol.
type result struct {
	acknowledged, lost int
	most               load
}

// run sends the changes of all pages at once, and then reads.
func run(t *testing.T, c contender, pages [tabs]*tab) (r result) {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	random := rand.New(rand.NewPCG(seed, 0))
	var acknowledged [tabs][]int
	var wg sync.WaitGroup
	for i, page := range pages {
		script := script(c, i*perTab, random)
		wg.Go(func() {
			var err error
			if acknowledged[i], err = evaluate[[]int](page, script); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, page := range pages {
		read := eval[[]int](page, fmt.Sprintf(`claims(%q)`, c.how))
		r.acknowledged += len(acknowledged[i])
		for _, n := range acknowledged[i] {
			if !slices.Contains(read, n) {
				r.lost++
			}
		}
	}
	return r
}

// TestLostUpdatesWhileRenewing does the same while the tokens grow old three times. A change in a
// request that takes longer than a token's life is refused, and not acknowledged.
func TestLostUpdatesWhileRenewing(t *testing.T) {
	for how, opts := range map[string][]waybillhttp.EdgeOption{"fetch": {waybillhttp.Cookies()}, "module": nil} {
		t.Run(how, func(t *testing.T) {
			sc := newScene(t)
			replicas := sc.replicas(opts...)
			var came atomic.Int64
			aging := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if came.Add(1)%40 == 0 {
						sc.ahead.Add(int64(8 * time.Minute))
					}
					next.ServeHTTP(w, r)
				})
			}
			s := serve(t, 2, aging(replicas[0]), aging(replicas[1]))
			var pages [tabs]*tab
			for i := range pages {
				pages[i] = open(t, s, "/tab")
				eval[bool](pages[i], fmt.Sprintf(`change(%q, %d, 0)`, how, i*perTab))
			}
			if r := run(t, contender{how: how}, pages); r.lost > 0 || r.acknowledged < changes/2 {
				t.Errorf("%d of %d acknowledged changes are lost", r.lost, r.acknowledged)
			}
		})
	}
}

// script returns the expression that sends a tab's changes at once. Its value is the numbers of the
// acknowledged ones.
func script(c contender, from int, random *rand.Rand) string {
	var b strings.Builder
	b.WriteString("Promise.all([")
	for n := from; n < from+perTab; n++ {
		abort := "undefined"
		if c.aborts && n%3 == 0 {
			abort = fmt.Sprint(random.IntN(latest))
		}
		fmt.Fprintf(&b, "change(%q, %d, %d, %s).then((ok) => ok ? [%[2]d] : []),", c.how, n, random.IntN(longest+1), abort)
	}
	b.WriteString("]).then((all) => all.flat())")
	return b.String()
}
