// Package clicks counts lost updates. The same list is kept in three ways: in a session that is one
// signed cookie, in a session of a server, and in a waybill. A click adds one item to it; clicks at
// the same time lose items where the last writer wins.
package clicks

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	randv2 "math/rand/v2"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// slowest is the longest time that a click takes.
const slowest = 40 * time.Millisecond

// list is a list that belongs to the client of a request.
type list struct {
	get func(r *http.Request) []string
	set func(w http.ResponseWriter, r *http.Request, items []string) error
}

// New returns a handler of the three lists, which are named cookie, scs and waybill. POST
// /{list}/{item} adds an item, GET /{list}/ returns all items as JSON, and DELETE /{list}/ removes
// them.
func New() (http.Handler, error) {
	keys, err := keyring.DefaultPolicy().Genesis("clicks", time.Now())
	if err != nil {
		return nil, err
	}
	auth, err := waybill.New("clicks", keyring.NewRing(keys), waybill.Claims(items))
	if err != nil {
		return nil, err
	}
	edge, err := waybillhttp.NewEdge(auth,
		waybillhttp.Cookies(waybillhttp.InsecureCookies(), waybillhttp.CookieName("clicks")),
		waybillhttp.Logger(slog.New(slog.DiscardHandler))) // so many tokens at once are worth a warning elsewhere
	if err != nil {
		return nil, err
	}
	memory := scs.New()
	memory.Cookie.Name = "scs"
	store := sessions.NewCookieStore([]byte(rand.Text()))
	store.Options = &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}

	mux := http.NewServeMux()
	mux.Handle("/cookie/", inCookie(store).handler())
	mux.Handle("/scs/", memory.LoadAndSave(inMemory(memory).handler()))
	mux.Handle("/waybill/", edge.Middleware(inWaybill.handler()))
	return mux, nil
}

// handler is the same for all lists: a click reads the list, works, and writes the list.
func (l list) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{list}/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(append([]string{}, l.get(r)...))
	})
	change := func(w http.ResponseWriter, r *http.Request, items []string) {
		if err := l.set(w, r, items); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
	mux.HandleFunc("DELETE /{list}/", func(w http.ResponseWriter, r *http.Request) { change(w, r, nil) })
	mux.HandleFunc("POST /{list}/{item}", func(w http.ResponseWriter, r *http.Request) {
		items := l.get(r)
		time.Sleep(randv2.N(slowest))
		change(w, r, append(items, r.PathValue("item")))
	})
	return mux
}

// inCookie is a list in a session of gorilla/sessions.
func inCookie(store sessions.Store) list {
	return list{
		get: func(r *http.Request) []string {
			s, _ := store.Get(r, "gorilla") // after an error, such as another key, the session is new
			items, _ := s.Values["items"].([]string)
			return items
		},
		set: func(w http.ResponseWriter, r *http.Request, items []string) error {
			s, _ := store.Get(r, "gorilla")
			s.Values["items"] = items
			return s.Save(r, w)
		},
	}
}

// inMemory is a list in a session of scs.
func inMemory(sessions *scs.SessionManager) list {
	return list{
		get: func(r *http.Request) []string {
			items, _ := sessions.Get(r.Context(), "items").([]string)
			return items
		},
		set: func(_ http.ResponseWriter, r *http.Request, items []string) error {
			sessions.Put(r.Context(), "items", items)
			return nil
		},
	}
}

// items is the claim of the list in a waybill. Changes at the same time merge.
var items = waybill.NewClaim[[]string]("items").Merge(waybill.Union)

// inWaybill is the list in a waybill.
var inWaybill = list{
	get: func(r *http.Request) []string {
		list, _ := items.Get(r.Context())
		return list
	},
	set: func(_ http.ResponseWriter, r *http.Request, list []string) error {
		return waybill.Update(r.Context(), items.To(list))
	},
}
