package waybillhttp

import (
	"net/http"

	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// emitToClient answers a client of an edge in the way in which the client holds its tokens. An
// empty token tells the client to forget the tokens that its request carried.
func (w *writer) emitToClient(h http.Header, tokens []string) {
	switch w.visit.by {
	case byCookie:
		if tokens != nil {
			w.visit.lines = w.cookieLines(h, tokens)
			w.answered(tokens, w.visit.lines != nil)
		}
	case byPage:
		w.emitPage(h, tokens)
	default:
		w.emitList(h, tokens)
	}
}

// answered counts a token that was returned.
func (w *writer) answered(tokens []string, sent bool) {
	if sent && tokens[0] != "" {
		w.m.rec.Returned(w.ctx, telemetry.Answered)
	}
}

// emitList answers by header. The Location of a redirect carries the token as well.
func (w *writer) emitList(h http.Header, tokens []string) {
	token := ""
	if tokens != nil {
		if !w.fits(h, tokens) {
			w.tooLarge()
		} else {
			w.sent = tokens
			w.answered(tokens, true)
			token = tokens[0]
		}
	}
	if redirects(w.status) {
		w.visit.paged = w.handOver(h, token)
	}
	w.visit.paged = w.visit.paged || w.visit.target.url != nil
}

// emitPage answers with links and forms, which the handler writes, and with the Location of a
// redirect.
func (w *writer) emitPage(h http.Header, tokens []string) {
	token := w.visit.page.returned(tokens)
	if redirects(w.status) {
		w.handOver(h, token)
	}
	w.answered([]string{token}, tokens != nil)
	w.visit.paged = token != "" || w.visit.tokens != nil
}

// handOver adds the token to the Location of a redirect, if the header stays within its budget, and
// reports whether it did: a proxy that rejects the header would lock the client out.
func (w *writer) handOver(h http.Header, token string) bool {
	o := w.visit.origin()
	switch {
	case !handOver(h, o, token):
		return false
	case w.fits(h, w.sent):
		return true
	}
	w.tooLarge()
	return handOver(h, o, "")
}

// cookieLines returns the lines that set the cookie of a token and then remove the cookies that
// came. It returns nil if the token does not fit: the client then keeps what it has. All lines stay
// within the header budget, because a proxy that rejects the header would lock the client out. The
// expiries that do not fit follow with the next answers.
func (w *writer) cookieLines(h http.Header, tokens []string) (lines []string) {
	e := w.visit.edge
	room := e.budget - w.size(h, nil)
	set := ""
	if tokens[0] != "" {
		wb := w.hop.Returned()
		line := e.cookies.set(wb.Name(), tokens[0], e.auth.Now(), wb.Ends())
		size := fieldSize("Set-Cookie", line)
		if line == "" || size > room {
			w.tooLarge()
			return nil
		}
		set = e.cookies.prefix + wb.Name()
		lines = append(lines, line)
		room -= size
	}
	return append(lines, e.cookies.expire(w.visit.cookies, set, room)...)
}

// settle sets our cookies, whatever the handler did to them, and the policy that keeps a token in a
// URL from other origins. It reports whether the response carries a token, or tells the client to
// forget some.
func (e *Edge) settle(h http.Header, v *visit) bool {
	if e.cookies != nil {
		var lines []string
		if v != nil {
			lines = v.lines
		}
		e.cookies.replace(h, lines)
	}
	if v == nil {
		return false
	}
	if v.paged {
		h["Referrer-Policy"] = []string{"same-origin"}
	}
	return v.paged || v.lines != nil
}

// withdraw takes the answer back, because the handler panicked.
func (v *visit) withdraw() {
	if v != nil {
		v.lines, v.paged = nil, false
	}
}
