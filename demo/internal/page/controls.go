package page

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Action is what a button does. It returns when its effect has begun, within a second. A longer
// effect goes on after that, and is seen in the snapshots. Its arguments are in the request's path
// and query; there is no body to read.
type Action func(*http.Request) error

// Controls is what can be done on a page. All functions may be called at the same time.
type Controls struct {
	// Step takes a step of a booking for the browser that asks for it: POST /api/journey/{step}.
	Step func(w http.ResponseWriter, r *http.Request) error

	Actions map[string]Action               // by the path below POST /api/, in the syntax of http.ServeMux
	Clicks  http.Handler                    // serves the lists of the card about lost updates
	Report  func() ([]byte, error)          // returns the report of the last show that is over, as JSON
	Trace   func(id string) ([]Span, error) // returns the spans of a trace, a parent before its children
}

// The errors of controls, wrapped with words that the visitor can read. Any other error is a fault
// of the demo.
var (
	ErrUnknown = errors.New("there is no such thing") // no such replica, key, step or trace
	ErrNotNow  = errors.New("not now")                // a show is running, there is no token yet, the key is gone, …
)

// route adds the controls.
func (c Controls) route(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/journey/{step}", func(w http.ResponseWriter, r *http.Request) { answer(w, c.Step(w, r), nil) })
	for _, method := range []string{"GET", "POST", "DELETE"} {
		mux.Handle(method+" /api/clicks/", http.StripPrefix("/api/clicks", c.Clicks))
	}
	for path, do := range c.Actions {
		mux.HandleFunc("POST /api/"+path, func(w http.ResponseWriter, r *http.Request) { answer(w, do(r), nil) })
	}
	mux.HandleFunc("GET /api/report/report.json", func(w http.ResponseWriter, _ *http.Request) {
		data, err := c.Report()
		if err != nil {
			answer(w, err, nil)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(data)
	})
	mux.HandleFunc("GET /api/trace/{id}", func(w http.ResponseWriter, r *http.Request) {
		spans, err := c.Trace(r.PathValue("id"))
		answer(w, err, spans)
	})
}

// answer sends the outcome of a control: that it was done, or what was asked for, or why not.
func answer(w http.ResponseWriter, err error, body any) {
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrNotNow):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case body == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(body)
	}
}
