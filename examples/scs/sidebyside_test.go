// Package scs tests the move from sessions of scs while both systems run.
package scs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

var (
	Cart = waybill.NewClaim[[]string]("cart").Merge(waybill.Union)
	User = waybill.NewClaim[string]("user").Fixed()
)

// oldShop is the shop before the move.
func oldShop(sessions *scs.SessionManager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		fmt.Fprint(w, sessions.Get(ctx, "cart"), sessions.GetString(ctx, "user"))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "cart", []string{"boots"})
		sessions.Put(r.Context(), "user", "Ada")
	})
	return sessions.LoadAndSave(mux)
}

// newShop is the shop during the move.
func newShop(auth *waybill.Authority, sessions *scs.SessionManager) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		cart, _ := Cart.Get(r.Context())
		user, _ := User.Get(r.Context())
		fmt.Fprint(w, cart, user)
	})
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		add := Cart.With(func(cart []string) []string { return append(cart, r.FormValue("sku")) })
		answer(w, waybill.Update(r.Context(), add))
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		err := errors.Join(waybill.End(ctx), sessions.Destroy(ctx)) // both, or start imports the session again

		answer(w, err)
	})

	start := func(r *http.Request) ([]waybill.Change, error) {
		ctx, changes := r.Context(), []waybill.Change{}
		if cart, ok := sessions.Get(ctx, "cart").([]string); ok {
			changes = append(changes, Cart.To(cart))
		}
		if user := sessions.GetString(ctx, "user"); user != "" {
			changes = append(changes, User.To(user)) // declared Fixed, so that journeys of two users are never merged
		}
		return changes, nil
	}
	edge, err := waybillhttp.NewEdge(auth, waybillhttp.Cookies(), waybillhttp.StartWith(start))
	if err != nil {
		return nil, err
	}
	handler := sessions.LoadAndSave(edge.Middleware(mux))

	return handler, nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// TestSideBySide moves a visitor who is logged in from the old shop to the new one, while both run.
func TestSideBySide(t *testing.T) {
	keys, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(keys), waybill.Claims(Cart, User))
	if err != nil {
		t.Fatal(err)
	}
	sessions := scs.New()
	before := oldShop(sessions)
	after, err := newShop(auth, sessions)
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[http.Handler]
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*current.Load()).ServeHTTP(w, r)
	}))
	defer server.Close()
	client := server.Client()
	if client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	step := func(shop http.Handler, method, path, want string) {
		t.Helper()
		current.Store(&shop)
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if got := string(body); err != nil || resp.StatusCode != 200 || got != want {
			t.Fatalf("%s %s: got %d %q, %v, want %q", method, path, resp.StatusCode, got, err, want)
		}
	}

	step(before, "POST", "/login", "")
	step(before, "GET", "/", "[boots]Ada")
	step(after, "GET", "/", "[boots]Ada") // imported
	step(after, "POST", "/cart?sku=tent", "")
	step(after, "GET", "/", "[boots tent]Ada")
	step(before, "GET", "/", "[boots]Ada") // the old shop sees no change of the new one
	step(after, "GET", "/", "[boots tent]Ada")
	step(after, "POST", "/logout", "")
	step(after, "GET", "/", "[]")
	step(before, "GET", "/", "<nil>")
}
