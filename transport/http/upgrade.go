package waybillhttp

import (
	"bufio"
	"net"
	"net/http"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// UpgradeHeader returns the header that contains the returned token, if there is one. A handler
// that hijacks the connection and writes the response itself adds this header to it. WebSocket
// packages that hijack accept such a header:
//
//	conn, err := upgrader.Upgrade(w, r, waybillhttp.UpgradeHeader(w))
//
// Change claims before calling UpgradeHeader: after the hijack, [waybill.Update] returns
// [waybill.ErrTooLate]. The result is never nil. The argument w is the handler's writer, or a
// writer around it that has an Unwrap method as [http.ResponseController] requires. An upgrade that
// writes the status 101 to w before it hijacks does not need UpgradeHeader.
func UpgradeHeader(w http.ResponseWriter) http.Header {
	h := http.Header{}
	if in := unwrap(w); in != nil {
		in.offer(h)
	}
	return h
}

// offer puts the returned token into a header that is not w's. Until the connection is hijacked,
// the handler may still send an ordinary response.
func (w *writer) offer(h http.Header) {
	if w.status != 0 || w.hijacked {
		return
	}
	w.renew(true)
	tokens := w.hop.Return(waybill.Succeeded)
	if tokens == nil {
		return
	}
	if !w.place(h, tokens) {
		return
	}
	w.offered = tokens
	h["Cache-Control"] = []string{"no-store"}
}

// place puts the returned token into the header of an upgrade, and reports whether it did.
func (w *writer) place(h http.Header, tokens []string) bool {
	switch {
	case w.visit != nil && w.visit.by == byPage:
		return false // an upgrade has no page
	case w.visit != nil && w.visit.by == byCookie:
		lines := w.cookieLines(h, tokens)
		if lines != nil {
			h["Set-Cookie"] = lines
		}
		return lines != nil
	case !w.fits(h, tokens):
		w.tooLarge()
		return false
	}
	h[returnKey] = tokens
	return true
}

// hijack hijacks the connection, and ends the time in which a token can be returned.
func (w *writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return conn, buf, err
	}
	w.hijacked = true
	if w.hop.FinalReturn(waybill.Succeeded) != nil {
		w.m.rec.Returned(w.ctx, telemetry.TooLate)
	} else if w.offered != nil {
		w.m.rec.Returned(w.ctx, telemetry.Answered)
	}
	return conn, buf, nil
}

// unwrap returns our writer in w, or nil.
func unwrap(w http.ResponseWriter) *writer {
	for {
		switch t := w.(type) {
		case interface{ own() *writer }:
			return t.own()
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}
