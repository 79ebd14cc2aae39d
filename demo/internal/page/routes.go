package page

import (
	"encoding/json"
	"errors"
	"net/http"
)

// action is what a POST does.
type action func(*http.Request) error

// route adds the controls. They take their arguments from the path and the query; there is no body to read.
func (p *Page) route(mux *http.ServeMux) {
	c := p.controls
	for control, do := range map[string]action{
		"kill":              func(r *http.Request) error { return c.Kill(r.Context(), "") },
		"kill/{replica}":    func(r *http.Request) error { return c.Kill(r.Context(), r.PathValue("replica")) },
		"restart/{replica}": func(r *http.Request) error { return c.Restart(r.Context(), r.PathValue("replica")) },
		"rolling-restart":   func(r *http.Request) error { return c.RollingRestart(r.Context()) },
		"rotate":            func(r *http.Request) error { return c.RotateKeys(r.Context()) },
		"revoke/{kid}":      func(r *http.Request) error { return c.RevokeKey(r.Context(), r.PathValue("kid")) },
		"pause-broker":      func(r *http.Request) error { return c.PauseBroker(r.Context()) },
		"store/on":          func(r *http.Request) error { return c.SetStore(r.Context(), true) },
		"store/off":         func(r *http.Request) error { return c.SetStore(r.Context(), false) },
		"show":              func(r *http.Request) error { return c.Show60(r.Context()) },
		"journey":           func(r *http.Request) error { return c.NewJourney(r.Context()) },
		"journey/{step}": func(r *http.Request) error {
			return c.Step(r.Context(), r.PathValue("step"), r.URL.Query())
		},
		"tamper": func(r *http.Request) error { return c.Tamper(r.Context()) },
		"replay": func(r *http.Request) error { return c.Replay(r.Context()) },
		"abroad": func(r *http.Request) error { return c.SendAbroad(r.Context()) },
	} {
		mux.HandleFunc("POST /api/"+control, func(w http.ResponseWriter, r *http.Request) { answer(w, do(r), nil) })
	}
	mux.HandleFunc("GET /api/report/report.json", func(w http.ResponseWriter, r *http.Request) {
		data, err := c.Report(r.Context())
		answer(w, err, json.RawMessage(data))
	})
	mux.HandleFunc("GET /api/trace/{id}", func(w http.ResponseWriter, r *http.Request) {
		spans, err := c.Trace(r.Context(), r.PathValue("id"))
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
