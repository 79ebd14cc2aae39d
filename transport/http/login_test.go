package waybillhttp_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// loginShop begins a journey for the user of the path at each POST, and adds a tag at each PUT.
func loginShop(t *testing.T, auth *waybill.Authority, together *sync.WaitGroup) http.Handler {
	return handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			if together != nil {
				together.Done()
				together.Wait()
			}
			check(t, waybill.Begin(r.Context(), cell.To(r.URL.Path), tags.To([]string{r.URL.Path})))
		case http.MethodPut:
			check(t, waybill.Update(r.Context(), tags.With(func(now []string) []string { return append(now, r.URL.Path) })))
		}
		reporter(t)(w, r)
	}, waybillhttp.Cookies())
}

// Of two logins at the same time, one stays, and no token has claims of both.
func TestTwoLoginsAtOnce(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		var together sync.WaitGroup
		together.Add(2)
		b := newBrowser(t, serve(t, loginShop(t, auth, &together)))
		b.visit(t, "PUT", "/before")
		var all sync.WaitGroup
		for _, user := range []string{"/ada", "/bob"} {
			all.Go(func() { b.visit(t, "POST", user) })
		}
		all.Wait()
		first := b.visit(t, "GET", "/")
		if first.cell != "/ada" && first.cell != "/bob" || len(b.held()) != 1 {
			t.Fatalf("%s: user %q, %d cookies; want one of the two, and one cookie", protection, first.cell, len(b.held()))
		}
		wb, err := auth.Open(b.held()[0])
		check(t, err)
		if got, _ := tags.Of(wb); len(got) != 1 || got[0] != first.cell {
			t.Errorf("%s: %s is logged in with the tags %q", protection, first.cell, got)
		}
		if again := b.visit(t, "GET", "/"); again.cell != first.cell || again.sid != first.sid {
			t.Errorf("%s: the next request is of %q in %s, not of %q in %s", protection, again.cell, again.sid, first.cell, first.sid)
		}
	}
}

// A planted cookie of a higher rank replaces the journey, and mixes with it in no token. The next login
// replaces it in turn.
func TestPlantedJourney(t *testing.T) {
	auth := authority(t)
	s := serve(t, loginShop(t, auth, nil))
	attacker, victim := newBrowser(t, s), newBrowser(t, s)
	attacker.visit(t, "POST", "/mallory")
	attacker.visit(t, "POST", "/mallory") // a rank above the victim's
	planted := attacker.held()[0]
	victim.visit(t, "POST", "/ada")
	victim.hold(append(victim.held(), planted)...)
	if a := victim.visit(t, "PUT", "/secret"); a.cell != "/mallory" || len(victim.held()) != 1 {
		t.Errorf("with a planted cookie: user %q and %d cookies, want the planted journey alone", a.cell, len(victim.held()))
	}
	victim.visit(t, "POST", "/ada")
	victim.hold(append(victim.held(), planted)...)
	a := victim.visit(t, "GET", "/")
	wb, err := auth.Open(victim.held()[0])
	check(t, err)
	if got, _ := tags.Of(wb); a.cell != "/ada" || len(got) != 1 || got[0] != "/ada" {
		t.Errorf("after a login: user %q with the tags %q; want only what the login set", a.cell, got)
	}
}
