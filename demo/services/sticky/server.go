package sticky

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// errUnknown says that there is no such session.
var errUnknown = errors.New("unknown session")

// sessions are where the sessions are stored.
type sessions interface {
	Load(ctx context.Context, id string) (trip.State, error) // errUnknown if there is none
	Save(ctx context.Context, id string, s trip.State) error
}

// patience is how long a server that is to end waits for its sessions to end. The orchestrators'
// usual half a minute is for sessions of minutes; a booking here takes seconds.
const patience = 5 * time.Second

// Run serves until ctx is done, and its own sessions have ended or have had their time.
func Run(ctx context.Context, e *service.Env) error {
	own := memory{memstore.New()}
	s := &server{env: e}
	mux := http.NewServeMux()
	mux.Handle("POST "+Memory+"{step}", s.serve(own))
	if urls := e.Peers["store"]; len(urls) > 0 {
		store, err := newRedis(urls[0])
		if err != nil {
			return err
		}
		mux.Handle("POST "+Store+"{step}", s.serve(store))
	}
	drained, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() {
		s.draining.Store(true)
		own.empty(patience)
		cancel()
	})
	return e.ServeHTTP(drained, mux)
}

type server struct {
	env      *service.Env
	draining atomic.Bool // new sessions go elsewhere
}

// serve runs a step of a session and answers with what the session says then.
func (s *server) serve(in sessions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.env.Watch.Begin(r.Context(), "HTTP")()
		answer := gateway.Answer{Gateway: s.env.Name}
		id, err := s.step(r, in, &answer)
		if err != nil {
			answer.Error = err.Error()
		} else if answer.Journey = id; r.PathValue("step") == gateway.Search {
			http.SetCookie(w, &http.Cookie{Name: Cookie, Value: id, Path: "/", HttpOnly: true})
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusOf(err))
		json.NewEncoder(w).Encode(answer)
	})
}

// errDraining sends a new session to another server.
var errDraining = errors.New("this server is about to end")

func (s *server) step(r *http.Request, in sessions, answer *gateway.Answer) (id string, err error) {
	ctx, name, q := r.Context(), r.PathValue("step"), r.URL.Query()
	do := steps[name]
	if do == nil {
		return "", errNoStep
	}
	state := trip.State{}
	if name == gateway.Search {
		if s.draining.Load() {
			return "", errDraining
		}
		id = rand.Text()
	} else {
		if c, err := r.Cookie(Cookie); err == nil {
			id = c.Value
		}
		if state, err = in.Load(ctx, id); err != nil {
			return id, err
		}
	}
	if err := do(ctx, state, q, answer); err != nil {
		return id, err
	}
	answer.State = state
	return id, in.Save(ctx, id, state)
}

func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, errUnknown):
		return http.StatusGone
	case errors.Is(err, errNoStep):
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}
