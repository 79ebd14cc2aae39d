package page_test

import (
	"net/http"
	"sync"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// recorder notes which controls were called, and answers as it is told.
type recorder struct {
	mu     sync.Mutex
	called []string
	err    error
}

func (r *recorder) note(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.called = append(r.called, what)
	return r.err
}

func (r *recorder) controls() page.Controls {
	return page.Controls{
		Actions: map[string]page.Action{
			"kill":           func(*http.Request) error { return r.note("kill") },
			"kill/{replica}": func(q *http.Request) error { return r.note("kill " + q.PathValue("replica")) },
		},
		Step: func(_ http.ResponseWriter, q *http.Request) error {
			return r.note("step " + q.PathValue("step") + " " + q.URL.Query().Encode())
		},
		Clicks: http.NotFoundHandler(),
		Report: func() ([]byte, error) { return []byte("{}"), r.note("report") },
		Trace: func(id string) ([]page.Span, error) {
			return []page.Span{{ID: "a", Service: "lb-1"}}, r.note("trace " + id)
		},
	}
}
