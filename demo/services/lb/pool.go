package lb

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// pool sends each request to a backend, and on to the next one while that is down.
type pool struct {
	backends func() []string
	home     func(*http.Request) (backend int, ok bool) // the one to try first; nil if any is as good
	next     http.RoundTripper
	turn     atomic.Uint64
}

// RoundTrip implements http.RoundTripper.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	var cut int
	for attempt := 0; ; attempt++ {
		backends := p.backends()
		if len(backends) == 0 {
			return nil, errors.New("lb: no backend is known")
		}
		out := r.Clone(r.Context())
		out.URL.Host = backends[p.pick(r, attempt, len(backends))]
		res, err := p.next.RoundTrip(out)
		if err != nil && !refused(err) {
			cut++
		}
		// A body can be read once only.
		last := attempt+1 >= 2*len(backends) || r.ContentLength != 0 || r.Context().Err() != nil
		switch {
		case err == nil && (res.StatusCode != http.StatusServiceUnavailable || last):
			res.Header.Set(HeaderRetries, strconv.Itoa(attempt))
			res.Header.Set(HeaderCut, strconv.Itoa(cut))
			return res, nil
		case last:
			return nil, err
		case err == nil:
			res.Body.Close()
		}
	}
}

func (p *pool) pick(r *http.Request, attempt, of int) int {
	if attempt == 0 && p.home != nil {
		if i, ok := p.home(r); ok && i < of {
			return i
		}
	}
	return int(p.turn.Add(1) % uint64(of))
}

// refused reports whether a request never reached its backend.
func refused(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}
