package waybillhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill"
)

// defaultIdle is how long after its expiry a journey can be resumed, unless [Idle] says otherwise.
const defaultIdle = 2 * time.Hour

// Edge is the server side of the service that clients talk to. It keeps the journeys of clients: it
// begins, resumes, merges and renews them. It is safe for concurrent use, and one Edge can wrap any
// number of handlers. [NewEdge] makes one; the zero Edge refuses every request with status 503.
//
// A client holds its tokens in cookies ([Cookies]), in a script that sends the header Waybill (the
// default), or in links and forms ([Pages]). It sends every token that it holds. The edge merges
// them, and the answer's token replaces the tokens that the request carried.
//
// No token can lock a client out. The answer makes the client forget tokens that cannot be used,
// and the client begins a new journey, unless [Required] is set. If the keys are not available, the
// edge answers 503, and the client keeps its tokens.
//
// An Edge handles a request from a [Transport] as a [Server] does. It neither begins nor renews a
// journey, because the service that sent the request keeps its own waybill.
type Edge struct {
	middleware
	start    func(*http.Request) ([]waybill.Change, error) // nil: a journey begins with its first claim
	beginsOn func(*http.Request) bool
	unusable func(http.ResponseWriter, *http.Request, string) // nil: a problem document

	cookies  *cookies // nil: no cookies
	pages    bool
	idle     time.Duration // unset: the default
	crossing *http.CrossOriginProtection

	renewal sync.Once // logs the first failure: all fail for the same reason
	heavy   sync.Once // logs the first client with many tokens
	forged  rarely
	shared  sync.Map // route → struct{}: logged, because shared caches may store the responses
	routes  atomic.Int64
}

// unset is the Idle before an option sets it.
const unset = time.Duration(-1 << 63)

// NewEdge returns the edge of the Authority's trust domain. The error wraps [waybill.ErrReadOnly] if
// the Authority cannot issue waybills.
func NewEdge(auth *waybill.Authority, opts ...EdgeOption) (*Edge, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	if !auth.CanIssue() {
		return nil, fmt.Errorf("waybillhttp: an edge must issue waybills: %w; "+
			"give its ring a private key, or use NewServer", waybill.ErrReadOnly)
	}
	e := &Edge{middleware: newMiddleware(common), beginsOn: beginsJourney, idle: unset}
	e.edge = e
	for _, o := range opts {
		if err := o.applyEdge(e); err != nil {
			return nil, err
		}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	e.record()
	return e, nil
}

// check checks the options together, and sets what depends on several of them.
func (e *Edge) check() error {
	_, journey := e.auth.Lifetime()
	switch {
	case e.cookies != nil && e.pages:
		return errors.New("waybillhttp: Cookies and Pages together: a client holds its journey in one of the two; " +
			"make two edges for two groups of paths")
	case e.crossing != nil && e.cookies == nil:
		return errors.New("waybillhttp: CrossOrigin without Cookies: only cookies are sent by other sites' pages; " +
			"leave the option out")
	case e.idle == unset && e.pages:
		e.idle = 0
	case e.idle == unset:
		e.idle = min(defaultIdle, journey)
	case e.idle > journey:
		return fmt.Errorf("waybillhttp: Idle(%v): a journey ends after %v, so nothing can be resumed later; "+
			"use a shorter Idle or a longer waybill.Journey", e.idle, journey)
	}
	if e.cookies == nil {
		return nil
	}
	if e.crossing == nil {
		e.crossing = http.NewCrossOriginProtection()
	}
	e.vary = "Cookie, " + headerKey
	return e.cookies.check(e.auth.AcceptsUpTo())
}

// Middleware returns a handler that opens the tokens of each request, begins or renews the client's
// journey, applies the edge's rules, calls next, and sends back what changed. Install an edge
// outside of every other middleware of this package.
func (e *Edge) Middleware(next http.Handler) http.Handler { return e.around(next, "NewEdge") }

// serveClient handles a request that does not come from a [Transport].
func (e *Edge) serveClient(w http.ResponseWriter, r *http.Request, source http.Header, next http.Handler) {
	original := r
	shareTrailer(r)
	v := e.visit(r)
	defer func() { copyBack(original, r) }()
	if e.skip != nil && e.skip(r) || isPreflight(r) {
		r = v.strip(r, r.Context())
		next.ServeHTTP(w, r)
		return
	}
	if err := e.checkOrigin(r, v); err != nil {
		r = v.strip(r, r.Context())
		e.answerRefusal(w, r, err)
		return
	}
	r, hop := e.receiveClient(r, source, v)
	if err := e.admitClient(r, hop); err != nil {
		if hop.Outermost() {
			e.refuseClient(w, r, hop, v, err)
		} else {
			e.answerRefusal(w, r, err)
		}
		return
	}
	if !hop.Outermost() {
		e.renew(r.Context(), hop, false)
		next.ServeHTTP(w, r)
		return
	}
	e.answer(w, r, hop, arriving{}, v, next)
}

// receiveClient opens the tokens of a client. The returned request has the hop's context, and none of
// the tokens.
func (e *Edge) receiveClient(r *http.Request, source http.Header, v *visit) (*http.Request, waybill.Hop) {
	ctx, hop := e.auth.ReceiveClient(r.Context(), waybill.Client{
		Tokens: v.tokens, Source: source, Idle: e.idle, MaxTokens: v.by.maxTokens(), MaxBytes: v.by.maxBytes(),
	})
	if hop.Outermost() {
		hop.Stripped(v.header)
		e.count(ctx, hop, v)
		if v.by == byPage {
			v.page = newPage(ctx, hop, r)
			ctx = v.page.in(ctx)
		}
		if v.handed {
			e.renew(ctx, hop, true) // so that the answer has it
		}
	}
	e.rec.Opened(ctx, hop)
	return v.strip(r, ctx), hop
}

// admitClient decides whether the handler sees a client's request, and begins the client's journey.
func (e *Edge) admitClient(r *http.Request, hop waybill.Hop) error {
	err := e.journey(r, hop)
	if err == nil && len(e.rules.Claims) > 0 {
		wb, _ := waybill.FromContext(r.Context())
		err = wb.Check(e.rules.Claims...)
	}
	return e.rules.Refuse(r.Context(), e.rec, err)
}

// journey begins a journey for a client that has none. If it returns an error, the edge's rules need a
// journey, or the keys are not available.
func (e *Edge) journey(r *http.Request, hop waybill.Hop) error {
	why := hop.Err()
	required := e.rules.Required || len(e.rules.Claims) > 0
	switch {
	case waybill.ClassOf(why) == waybill.Unavailable:
		return why
	case !hop.Vacant():
		return nil
	case required && why != nil && !errors.Is(why, waybill.ErrNoWaybill):
		return unusable{why}
	case required && (e.start == nil || !e.beginsOn(r)):
		return waybill.ErrNoWaybill
	case !e.beginsOn(r):
		return nil
	}
	err := e.begin(r, hop)
	if waybill.ClassOf(err) == waybill.Unavailable {
		e.logger.ErrorContext(r.Context(), "waybill: no journey begun", "error", err)
	}
	return err
}

// begin begins a journey, or prepares one that begins with its first claim.
func (e *Edge) begin(r *http.Request, hop waybill.Hop) error {
	ctx := r.Context()
	var changes []waybill.Change
	if e.start != nil {
		var err error
		if changes, err = e.start(r); err != nil {
			return fmt.Errorf("StartWith: %w", err)
		}
	} else if err := hop.Provide(); !errors.Is(err, waybill.ErrNotAtEdge) {
		return err
	}
	_, err := e.auth.Start(ctx, changes...)
	if err != nil && waybill.ClassOf(err) != waybill.Unavailable {
		// The claims cannot be issued. The client is not at fault, so the error must not be one of its
		// class.
		err = fmt.Errorf("waybillhttp: %v", err)
	}
	return err
}

// renew gives the client's waybill a new life if it is due, or always. If that fails, the old waybill
// remains valid for a while.
func (e *Edge) renew(ctx context.Context, hop waybill.Hop, always bool) {
	if _, err := waybill.FromContext(ctx); err != nil {
		return // the request has no journey
	}
	if err := hop.Renew(always); err != nil {
		e.renewal.Do(func() { e.logger.ErrorContext(ctx, "waybill: not renewed", "error", err) })
	}
}
