package waybillhttp

import (
	"errors"
	"log/slog"
	"net/http"

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
	rules admission.Rules
	skip  func(*http.Request) bool // nil: none
	edge  *Edge                    // nil: a Server
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

// serve handles one request. Of nested middlewares, the outermost one ends the hop; each applies
// its own rules.
func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	original := r
	if m.skip != nil && m.skip(r) {
		if header, changed := withoutWaybill(r.Header); changed {
			r = r.WithContext(r.Context())
			r.Header = header
		}
		defer copyBack(original, r)
		next.ServeHTTP(w, r)
		return
	}
	r, hop := m.receive(r)
	if err := m.admit(r, hop); err != nil {
		if hop.Outermost() {
			hop.Discard()
		}
		m.logger.DebugContext(r.Context(), "waybill: request refused", "reason", waybill.Reason(err), "error", err)
		refuse(w, r, err)
		return
	}
	defer copyBack(original, r)
	if !hop.Outermost() {
		next.ServeHTTP(w, r)
		return
	}
	m.answer(w, r, hop, next)
}

// receive opens the waybill, unless an outer layer has. The header map identifies the request:
// contexts are inherited, also by requests inside one process. The returned request has the hop's
// context, and no token, because handlers copy the headers of a request into their own requests.
func (m *middleware) receive(r *http.Request) (*http.Request, waybill.Hop) {
	ctx, hop := m.auth.Receive(r.Context(), r.Header[headerKey], r.Header)
	m.rec.Opened(ctx, hop)
	header, changed := withoutWaybill(r.Header)
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

// withoutWaybill returns h without tokens. If it has any, the result is a copy.
func withoutWaybill(h http.Header) (stripped http.Header, changed bool) {
	if h[headerKey] == nil && h[returnKey] == nil {
		return h, false
	}
	h = h.Clone()
	delete(h, headerKey)
	delete(h, returnKey)
	return h, true
}

// copyBack copies to the original request what net/http and outer layers read there after the
// handler has returned: the form whose files are removed, and the pattern that instrumentation
// names its spans by.
func copyBack(original, r *http.Request) {
	if r.MultipartForm != nil {
		original.MultipartForm = r.MultipartForm
	}
	original.Pattern = r.Pattern
}

// admit decides whether the handler sees the request.
func (m *middleware) admit(r *http.Request, hop waybill.Hop) error {
	ctx := r.Context()
	if m.edge != nil {
		if err := m.edge.begin(r, hop); err != nil {
			return m.rules.Refuse(ctx, m.rec, err)
		}
	}
	return m.rules.Admit(ctx, m.rec)
}

// answer runs the handler and sends back what it changed. If the handler panics, nothing is sent
// back.
func (m *middleware) answer(w http.ResponseWriter, r *http.Request, hop waybill.Hop, next http.Handler) {
	rw, out := wrap(w, writer{
		ResponseWriter: w,
		m:              m,
		ctx:            r.Context(),
		hop:            hop,
		trailers:       wantsTrailers(r),
		http2:          r.ProtoMajor >= 2,
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
