package waybillhttp

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// carrier is how a client holds its tokens, and how the answer reaches it.
type carrier uint8

const (
	byHeader carrier = iota
	byCookie
	byPage
)

// maxTokens returns how many tokens of a client an edge uses.
func (c carrier) maxTokens() int { return [...]int{byHeader: 32, byCookie: 192, byPage: 1}[c] }

// maxBytes returns how many bytes of tokens an edge uses. A page has one token, whose size the
// Authority limits.
func (c carrier) maxBytes() int {
	return [...]int{byHeader: 32 << 10, byCookie: 96 << 10, byPage: 0}[c]
}

const (
	// maxOpened bounds the tokens of one request that are opened. No browser keeps so many cookies
	// for a host.
	maxOpened = 208

	// maxRubbish bounds the other values that are looked at.
	maxRubbish = 8
)

// heavyTokens is the size of a client's tokens from which proxies with default settings may refuse
// the request: nginx accepts a Cookie line of 8,000 bytes.
const heavyTokens = 6 << 10

// visit is one request of a client: what it carried, and what inner layers see of it.
type visit struct {
	edge   *Edge
	came   *http.Request // as it came
	shown  *http.Request // as inner layers see it
	by     carrier
	tokens []string
	page   *page // byPage

	cookies []cookie // the waybill cookies as they came; byCookie only
	size    int      // of the tokens, in bytes
	rubbish int      // values that cannot be tokens; the first few are in tokens
	surplus int      // tokens beyond the limit, which are not opened
	ignored int      // tokens of carriers that do not count

	first  [1]string   // saves an allocation
	header http.Header // as inner layers see it
	copied bool        // the header is a copy
	target target      // the URL, if a parameter was taken out of it
	handed bool        // the only token was handed over by a redirect: the client does not hold it
	form   *form       // the body, if it was read

	lines    []string // of the answer: they set and expire cookies
	paged    bool     // the answer, or the URL of its request, contains a token
	flushed  bool     // the answer was flushed before its end
	journey  bool     // the client was on a journey when the header was written, or sent tokens
	reported bool     // shared caches may store the answer, and that was logged
}

// visit finds the tokens of a client's request. The request is not changed, but the body of a form
// may have been read.
func (e *Edge) visit(r *http.Request) *visit {
	v := &visit{edge: e, came: r, header: r.Header}
	listed := r.Header[headerKey]
	v.dropHeader()
	if e.cookies != nil {
		v.takeCookies()
		if v.cookies != nil || listed == nil {
			v.by = byCookie
			v.ignored = len(listed)
			if v.ignored == 1 && listed[0] == "" {
				v.ignored = 0 // the client says only that it could use the header
			}
			return v
		}
	}
	if e.pages && listed == nil {
		v.by = byPage
		v.takePage(r)
		return v
	}
	v.takeList(listed)
	v.takeHandover(r)
	return v
}

// own makes the header a copy, for changes.
func (v *visit) own() http.Header {
	if !v.copied {
		v.header, v.copied = v.header.Clone(), true
	}
	return v.header
}

// dropHeader removes our headers.
func (v *visit) dropHeader() { v.header, v.copied = withoutWaybill(v.header) }

// takeCookies takes the tokens of our cookies.
func (v *visit) takeCookies() {
	v.dropCookies()
	for _, c := range v.cookies {
		v.add(cmp.Or(c.value, "-")) // a cookie without a value is malformed
	}
	v.bound()
}

// dropCookies takes our cookies out of the header.
func (v *visit) dropCookies() {
	cookies, rest, ok := v.edge.cookies.read(v.header["Cookie"])
	if !ok {
		return
	}
	v.cookies = cookies
	if h := v.own(); len(rest) > 0 {
		h["Cookie"] = rest
	} else {
		delete(h, "Cookie")
	}
}

// takeList takes the tokens of the header Waybill, a list of possibly several lines.
func (v *visit) takeList(lines []string) {
	listed := 0
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if listed++; listed > maxCookies {
				break
			}
			v.add(strings.Trim(token, " \t"))
		}
	}
	v.bound()
}

// add adds a token. It keeps only the first values that cannot be tokens.
func (v *visit) add(token string) {
	if token == "" {
		return
	}
	v.size += len(token)
	limit := v.edge.auth.AcceptsUpTo()
	if !plausible(token, limit) {
		if v.rubbish++; v.rubbish > maxRubbish {
			return
		}
		token = token[:min(len(token), limit+1)]
	}
	if v.tokens == nil {
		v.tokens = v.first[:0]
	}
	v.tokens = append(v.tokens, token)
}

// bound leaves the last tokens.
func (v *visit) bound() {
	if v.surplus = max(0, len(v.tokens)-maxOpened); v.surplus > 0 {
		v.tokens = v.tokens[v.surplus:]
	}
}

// plausible reports whether a value looks like a token.
func plausible(token string, limit int) bool {
	if len(token) < 64 || len(token) > limit {
		return false
	}
	dots := strings.Count(token, ".")
	return dots == 2 || dots == 4
}

// strip returns the request for inner layers: with this context, and without the tokens.
func (v *visit) strip(r *http.Request, ctx context.Context) *http.Request {
	v.shown = r
	if !v.copied && v.target.url == nil && v.form == nil && ctx == r.Context() {
		return r
	}
	r = r.WithContext(ctx)
	r.Header = v.header
	v.target.show(r)
	v.form.show(r)
	v.shown = r
	return r
}

// origin returns where the request was sent to.
func (v *visit) origin() origin { return originOf(v.came) }

// route returns the pattern that the request matched, or its path.
func (v *visit) route() string { return cmp.Or(v.shown.Pattern, v.shown.URL.Path) }

// count counts what became of the tokens of a client.
func (e *Edge) count(ctx context.Context, hop waybill.Hop, v *visit) {
	if len(v.tokens) == 0 && v.ignored == 0 {
		return
	}
	e.rec.Carried(ctx, len(v.tokens)+v.surplus+max(0, v.rubbish-maxRubbish), v.size)
	if v.size > heavyTokens {
		e.heavy.Do(func() {
			e.logger.WarnContext(ctx, "waybill: a client sends more than 6 KiB of tokens; proxies with default settings "+
				"may refuse its requests", "tokens", len(v.tokens), "bytes", v.size)
		})
	}
	e.rec.Forgot(ctx, hop.Forgotten())
	e.rec.ForgotSome(ctx, waybill.Reason(waybill.ErrMalformed), v.rubbish-maxRubbish)
	e.rec.ForgotSome(ctx, telemetry.Overflow, v.surplus)
	e.rec.ForgotSome(ctx, telemetry.IgnoredCarrier, v.ignored)
	if hop.ClockAhead() {
		e.rec.ForgotSome(ctx, telemetry.ClockAhead, 1)
	}
	e.reportForged(ctx, hop)
}

// reportForged logs that a client brought a forged token: an attack, or two rings with one key id.
func (e *Edge) reportForged(ctx context.Context, hop waybill.Hop) {
	for _, err := range hop.Forgotten() {
		if waybill.Reason(err) == "forged" {
			if e.forged.due(e.auth.Now()) {
				e.logger.WarnContext(ctx, "waybill: a client brought a forged token; further ones are logged once a minute")
			}
			return
		}
	}
}
