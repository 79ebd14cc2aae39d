package waybillhttp

import (
	"context"
	"html"
	"html/template"
	"net/http"
	"sync"

	"github.com/waybill-go/waybill"
)

// page is the token of a client that holds it in links and forms.
type page struct {
	origin origin
	hop    waybill.Hop
	came   *waybill.Waybill // nil: no usable token came

	mu       sync.Mutex
	answered bool   // the hop has returned a token, or told the client to forget
	token    string // "": none
}

type pageKey struct{}

// newPage returns the page of a request.
func newPage(ctx context.Context, hop waybill.Hop, r *http.Request) *page {
	wb, _ := waybill.FromContext(ctx)
	return &page{origin: originOf(r), hop: hop, came: wb}
}

// in returns a context for [Field] and [Link].
func (p *page) in(ctx context.Context) context.Context { return context.WithValue(ctx, pageKey{}, p) }

// current returns the token with all changes so far, or "".
func (p *page) current() string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remember(p.hop.Return(waybill.Succeeded))
}

// returned remembers what the hop returned, and returns the page's token: the last one that the hop
// returned, or the one that came.
func (p *page) returned(tokens []string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remember(tokens)
}

// remember does the work of returned. The caller holds mu, since before it asked the hop: the hop
// returns a token once, and all callers need it.
func (p *page) remember(tokens []string) string {
	if tokens != nil {
		p.answered, p.token = true, tokens[0]
	}
	if !p.answered {
		p.token = p.came.Token()
	}
	return p.token
}

func pageOf(ctx context.Context) *page {
	p, _ := ctx.Value(pageKey{}).(*page)
	return p
}

// Field returns the hidden form field that carries the client's token, for an edge with [Pages]. It
// is empty if the client has no journey, and at other edges. Call it after the last change of the
// page's claims.
func Field(ctx context.Context) template.HTML {
	token := pageOf(ctx).current()
	if token == "" {
		return ""
	}
	return template.HTML(`<input type="hidden" name="` + parameter + `" value="` + html.EscapeString(token) + `">`)
}

// Link returns a URL with the client's token, for an edge with [Pages]. It returns the URL
// unchanged if it is of another origin, if the client has no journey, or if the edge has no Pages.
// Call Link after the last change of the page's claims. Escape the result as any other URL in a
// page; html/template does.
func Link(ctx context.Context, url string) string {
	p := pageOf(ctx)
	token := p.current()
	if token == "" {
		return url
	}
	return p.origin.with(url, token)
}

// takePage moves the token from the parameter or the form field of a request to v.
func (v *visit) takePage(r *http.Request) {
	for _, token := range v.target.cut(r, nil) {
		v.add(token)
	}
	v.cutReferer(nil)
	f, values := takeForm(r)
	v.form = f
	for _, token := range values {
		v.add(token)
	}
	v.bound()
	if values != nil && r.Header["Content-Length"] != nil {
		v.own()
	}
}
