package browser

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gorilla/sessions"
)

// oneCookie is the naive way: the claims are in one cookie, and the last answer wins.
func oneCookie(t *testing.T) []http.Handler {
	read := func(r *http.Request) map[int]bool {
		claims := map[int]bool{}
		if c, err := r.Cookie("__Host-claims"); err == nil {
			raw, _ := base64.RawURLEncoding.DecodeString(c.Value)
			json.Unmarshal(raw, &claims)
		}
		return claims
	}
	one := func() http.Handler {
		return shop{
			set: func(w http.ResponseWriter, r *http.Request, n int) error {
				claims := read(r)
				claims[n] = true
				raw, err := json.Marshal(claims)
				if err != nil {
					return err
				}
				http.SetCookie(w, &http.Cookie{
					Name: "__Host-claims", Value: base64.RawURLEncoding.EncodeToString(raw),
					Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
				})
				return nil
			},
			get: func(r *http.Request) []int { return slices.Collect(maps.Keys(read(r))) },
		}.handler(t)
	}
	return []http.Handler{one(), one()}
}

// scsSessions is scs/v2 as its README sets it up, with one store in memory for both replicas.
func scsSessions(t *testing.T) []http.Handler {
	store := memstore.NewWithCleanupInterval(time.Hour)
	t.Cleanup(store.StopCleanup)
	one := func() http.Handler {
		m := scs.New()
		m.Store = store
		m.Cookie.Secure = true
		return m.LoadAndSave(shop{
			set: func(w http.ResponseWriter, r *http.Request, n int) error {
				m.Put(r.Context(), strconv.Itoa(n), n)
				return nil
			},
			get: func(r *http.Request) (claims []int) {
				for _, key := range m.Keys(r.Context()) {
					claims = append(claims, m.GetInt(r.Context(), key))
				}
				return claims
			},
		}.handler(t))
	}
	return []http.Handler{one(), one()}
}

// gorillaSessions is gorilla/sessions with a CookieStore, whose key both replicas have.
func gorillaSessions(t *testing.T) []http.Handler {
	one := func() http.Handler {
		store := sessions.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
		store.Options.Secure = true
		return shop{
			set: func(w http.ResponseWriter, r *http.Request, n int) error {
				session, err := store.Get(r, "session")
				if err != nil {
					return err
				}
				session.Values[n] = true
				return session.Save(r, w)
			},
			get: func(r *http.Request) (claims []int) {
				session, err := store.Get(r, "session")
				if err != nil {
					t.Error(err)
				}
				for key := range session.Values {
					claims = append(claims, key.(int))
				}
				return claims
			},
		}.handler(t)
	}
	return []http.Handler{one(), one()}
}
