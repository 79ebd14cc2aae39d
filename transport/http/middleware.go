package waybillhttp

import (
	"context"
	"net/http"
	"sync"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/taken"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// The names under which a waybill travels, as net/http spells them.
const (
	headerKey = "Waybill"
	updateKey = "Waybill-Update"
)

// Middleware opens the waybill of each request, judges it, and sends back what the handler changed. It is safe for
// concurrent use. A nil Authority panics.
func Middleware(auth *waybill.Authority, opts ...Option) func(http.Handler) http.Handler {
	if auth == nil {
		panic("waybillhttp: nil Authority")
	}
	m := &middleware{config: newConfig(opts), auth: auth}
	m.rec = telemetry.New("http", m.provider, m.logger)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}
}

type middleware struct {
	config
	auth *waybill.Authority
	rec  *telemetry.Recorder

	renewal sync.Once // the first failure is logged: what fails for one request fails for all
}

// serve is one request. A nested middleware leaves the way back to the outermost one, but holds to its own policy.
func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	original := r
	if m.skip != nil && m.skip(r) {
		r = without(r)
		defer handUp(original, r)
		next.ServeHTTP(w, r)
		return
	}
	ctx, hop := m.receive(r)
	own := hop.Begin()
	r = m.strip(ctx, hop, r)
	ctx, err := m.admit(r, hop)
	if err != nil {
		if own {
			hop.Discard()
		}
		m.logger.DebugContext(ctx, "waybill: request refused", "reason", waybill.Reason(err), "error", err)
		refuse(w, r, err)
		return
	}
	if ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	defer handUp(original, r)
	if !own {
		next.ServeHTTP(w, r)
		return
	}
	m.answer(w, r, hop, next)
}

// handUp gives to the original request what net/http looks for there behind the handler: the form whose files it removes,
// and the pattern that instrumentation further out names its spans by.
func handUp(original, r *http.Request) {
	if r.MultipartForm != nil {
		original.MultipartForm = r.MultipartForm
	}
	original.Pattern = r.Pattern
}

// receive opens the waybill, unless somebody further out has.
func (m *middleware) receive(r *http.Request) (context.Context, waybill.Hop) {
	ctx, values := r.Context(), r.Header[headerKey]
	if len(values) == 0 {
		if hop, ok := taken.From(ctx, m.auth, r.Header); ok {
			return ctx, hop
		}
	}
	ctx, hop := m.auth.ReceiveFrom(ctx, values, r.Header)
	m.rec.Opened(ctx, hop)
	return ctx, hop
}

// strip returns the request that the handler sees: with the context, and without what only the wire may bring, because
// handlers copy the headers they got into requests of their own.
func (m *middleware) strip(ctx context.Context, hop waybill.Hop, r *http.Request) *http.Request {
	header, changed := withoutWaybill(r.Header)
	if changed {
		ctx = taken.NewContext(ctx, m.auth, hop, header)
	}
	if ctx == r.Context() {
		return r
	}
	r = r.WithContext(ctx)
	r.Header = header
	return r
}

// without returns r without what only the wire may bring.
func without(r *http.Request) *http.Request {
	header, changed := withoutWaybill(r.Header)
	if !changed {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = header
	return r
}

// withoutWaybill returns h, or a copy of it if there was something to take out.
func withoutWaybill(h http.Header) (stripped http.Header, changed bool) {
	if h[headerKey] == nil && h[updateKey] == nil {
		return h, false
	}
	h = h.Clone()
	delete(h, headerKey)
	delete(h, updateKey)
	return h, true
}

// admit decides whether the handler sees the request.
func (m *middleware) admit(r *http.Request, hop waybill.Hop) (context.Context, error) {
	ctx := r.Context()
	if m.edge {
		begun, err := m.begin(r, hop)
		if err != nil {
			return begun, m.policy.Refuse(ctx, m.rec, err)
		}
		ctx = begun
	}
	return ctx, m.policy.Admit(ctx, m.rec)
}

// answer runs the handler and sends back what it changed. If it panics, nothing is sent back.
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
