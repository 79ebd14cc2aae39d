package sessiond

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/service"
)

// limit is the size of a session in bytes, at most.
const limit = 16 << 10

// Run serves until ctx is done.
func Run(ctx context.Context, e *service.Env) error {
	journal, err := open(filepath.Join(e.Dir, "sessions"))
	if err != nil {
		return err
	}
	lis, err := e.Listen()
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.Watch.Begin(r.Context(), "HTTP")()
		journal.ServeHTTP(w, r)
	})
	return e.Serve(ctx, lis, &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second})
}

// ServeHTTP implements http.Handler.
func (j *journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutPrefix(r.URL.Path, path)
	if !ok || id == "" {
		http.NotFound(w, r)
		return
	}
	var err error
	switch r.Method {
	case http.MethodGet:
		state, ok := j.load(id)
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(state)
		return
	case http.MethodPut:
		var state []byte
		if state, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit)); err == nil {
			err = j.write(entry{ID: id, State: state})
		}
	case http.MethodDelete:
		err = j.write(entry{ID: id})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
