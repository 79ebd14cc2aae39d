package waybillhttp

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
)

// The names under which a waybill travels, as net/http spells them.
const (
	headerKey = "Waybill"
	returnKey = "Waybill-Update"
)

// middleware is what a Server and an Edge have in common.
type middleware struct {
	common
	rules  admission.Rules
	skip   func(*http.Request) bool // nil: none
	edge   *Edge                    // nil: a Server
	vary   string                   // the headers of a request that carry tokens
	budget int                      // of the headers of a response, in bytes
	large  *sync.Once               // logs the first token that does not fit
}

func newMiddleware(c common) middleware {
	return middleware{common: c, vary: headerKey, budget: defaultBudget, large: new(sync.Once)}
}

// middleware returns the handler around next. If no constructor made the middleware, the handler
// refuses every request.
func (m *middleware) around(next http.Handler, constructor string) http.Handler {
	if m.auth == nil {
		slog.Error("waybill: all requests are refused, because the middleware was not made by " + constructor)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refuse(w, r, errors.New("waybillhttp: the middleware was not made by "+constructor))
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
}

// serve handles one request: as a hop, or as the request of an edge's client. Of nested middlewares, the outermost one ends the hop; each applies
// its own rules.
func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	came := arrive(w, r.Header)
	if m.edge != nil && !came.hop {
		m.edge.serveClient(w, r, came.source, next)
		return
	}
	original := r
	shareTrailer(r)
	if m.skip != nil && m.skip(r) {
		if header, changed := m.withoutTokens(r.Header); changed {
			r = r.WithContext(r.Context())
			r.Header = header
		}
		defer copyBack(original, r)
		next.ServeHTTP(w, r)
		return
	}
	r, hop := m.receive(r, came.source)
	if err := m.rules.Admit(r.Context(), m.rec); err != nil {
		if hop.Outermost() {
			hop.Discard()
		}
		m.logRefusal(r, err)
		refuse(w, r, err)
		return
	}
	defer copyBack(original, r)
	if !hop.Outermost() {
		next.ServeHTTP(w, r)
		return
	}
	m.answer(w, r, hop, came, nil, next)
}

// logRefusal logs why a request is refused.
func (m *middleware) logRefusal(r *http.Request, err error) {
	_, reason := verdict(err)
	m.logger.DebugContext(r.Context(), "waybill: request refused", "reason", reason, "error", err)
}

// shareTrailer gives the request a trailer map, if net/http would otherwise make one when it has
// read the body: only the original request would have it, and the handler sees a copy.
func shareTrailer(r *http.Request) {
	if r.Trailer == nil && r.ContentLength < 0 && r.ProtoMajor == 1 {
		r.Trailer = http.Header{}
	}
}

// receive opens the waybill, unless an outer layer has. The source, a header map, identifies the
// request: contexts are inherited, also by requests inside one process. The returned request has
// the hop's context, and no token, because handlers copy the headers of a request into their own
// requests.
func (m *middleware) receive(r *http.Request, source http.Header) (*http.Request, waybill.Hop) {
	ctx, hop := m.auth.Receive(r.Context(), r.Header[headerKey], source)
	m.rec.Opened(ctx, hop)
	header, changed := m.withoutTokens(r.Header)
	if changed {
		hop.Stripped(header)
	}
	if !changed && ctx == r.Context() {
		return r, hop
	}
	r = r.WithContext(ctx)
	r.Header = header
	return r, hop
}

// withoutWaybill returns h without our headers. If it has any, the result is a copy.
func withoutWaybill(h http.Header) (stripped http.Header, changed bool) {
	if h[headerKey] == nil && h[returnKey] == nil && h[hopKey] == nil {
		return h, false
	}
	h = h.Clone()
	delete(h, headerKey)
	delete(h, returnKey)
	delete(h, hopKey)
	return h, true
}

// withoutTokens is withoutWaybill, and removes the cookies of an edge as well.
func (m *middleware) withoutTokens(h http.Header) (stripped http.Header, changed bool) {
	if m.edge == nil || m.edge.cookies == nil {
		return withoutWaybill(h)
	}
	v := visit{edge: m.edge, header: h}
	v.dropHeader()
	v.dropCookies()
	return v.header, v.copied
}

// copyBack copies to the original request what net/http and outer layers read there after the
// handler has returned: the form whose files are removed, and the pattern that instrumentation
// names its spans by.
func copyBack(original, r *http.Request) {
	if r.MultipartForm != nil && original.MultipartForm == nil {
		original.MultipartForm = r.MultipartForm
	}
	original.Pattern = r.Pattern
}

// answer runs the handler and sends back what it changed. If the handler panics, nothing is sent back.
// The visit is nil if the request does not come from a client of an edge.
func (m *middleware) answer(
	w http.ResponseWriter, r *http.Request, hop waybill.Hop, came arriving, v *visit, next http.Handler,
) {
	rw, out := wrap(w, writer{
		ResponseWriter: w,
		m:              m,
		ctx:            r.Context(),
		hop:            hop,
		visit:          v,
		seen:           r.Header,
		fromHop:        came.hop,
		trailers:       wantsTrailers(r),
		http2:          r.ProtoMajor >= 2,
		varies:         r.Method == http.MethodGet || r.Method == http.MethodHead,
	})
	returned := false
	defer func() {
		if !returned {
			out.abandon()
		}
	}()
	next.ServeHTTP(rw, r)
	returned = true
	out.finish()
}
