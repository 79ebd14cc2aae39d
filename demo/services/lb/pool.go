package lb

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
)

// pool sends each request to a backend, and on to the next one while that is down.
type pool struct {
	backends func() []string
	sticks   bool // a cookie names the backend to try first; without it any is as good
	next     http.RoundTripper
	turn     atomic.Uint64
}

// RoundTrip implements http.RoundTripper.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		backends := p.backends()
		if len(backends) == 0 {
			return nil, errors.New("lb: no backend is known")
		}
		backend := p.pick(r, attempt, backends)
		out := r.Clone(r.Context())
		out.URL.Host = backend
		res, err := p.next.RoundTrip(out)
		// A body can be read once only.
		last := attempt+1 >= 2*len(backends) || r.ContentLength != 0 || r.Context().Err() != nil
		switch {
		case err == nil && (res.StatusCode != http.StatusServiceUnavailable || last):
			if p.sticks {
				stick(r, res, backend)
			}
			res.Header.Set(HeaderRetries, strconv.Itoa(attempt))
			return res, nil
		case last:
			return nil, err
		case err == nil:
			res.Body.Close()
		}
	}
}

func (p *pool) pick(r *http.Request, attempt int, backends []string) string {
	if p.sticks && attempt == 0 {
		if b, ok := home(r, backends); ok {
			return b
		}
	}
	return backends[p.turn.Add(1)%uint64(len(backends))]
}
