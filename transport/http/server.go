package waybillhttp

import (
	"net/http"

	"github.com/waybill-go/waybill"
)

// Server is the server side of a service inside the trust domain. It is safe for concurrent use,
// and one Server can wrap any number of handlers. [NewServer] makes one; the zero Server refuses
// every request with status 503.
type Server struct{ middleware }

// NewServer returns the server side for services of the Authority's trust domain. For the service
// that clients talk to, use [NewEdge].
func NewServer(auth *waybill.Authority, opts ...ServerOption) (*Server, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	s := &Server{newMiddleware(common)}
	for _, o := range opts {
		if err := o.applyServer(s); err != nil {
			return nil, err
		}
	}
	s.record()
	return s, nil
}

// Middleware returns a handler that opens the waybill of each request, applies the server's rules,
// calls next, and sends back what next changed.
func (s *Server) Middleware(next http.Handler) http.Handler { return s.around(next, "NewServer") }
