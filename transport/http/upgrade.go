package waybillhttp

import (
	"net/http"

	"github.com/waybill-go/waybill/internal/telemetry"
)

// UpgradeHeader returns the header that a handler adds to a response which it writes itself, on a connection that it
// hijacks: the update, if there is one. Packages for WebSockets that hijack take such a header:
//
//	conn, err := upgrader.Upgrade(w, r, waybillhttp.UpgradeHeader(w))
//
// Claims must be changed before, the way back ends with the hijack. The result is never nil; w is the handler's writer, or
// one around it that can be unwrapped as [http.ResponseController] does. An upgrade that writes the status 101 to w before
// it hijacks needs none of this.
func UpgradeHeader(w http.ResponseWriter) http.Header {
	h := http.Header{}
	if in := unwrap(w); in != nil {
		in.offer(h)
	}
	return h
}

// offer puts the update into a header that is not w's. Until the connection is hijacked the response may become another.
func (w *writer) offer(h http.Header) {
	if w.status != 0 || w.hijacked {
		return
	}
	if w.m.edge {
		w.m.renew(w.ctx, w.hop)
	}
	if update := w.hop.Update(false); update != "" {
		w.offered = true
		h[updateKey] = []string{update}
		h["Cache-Control"] = []string{"no-store"}
	}
}

// hijack ends the way back.
func (w *writer) hijack() {
	w.hijacked = true
	if w.hop.Last(false) != "" {
		w.m.rec.Updated(w.ctx, telemetry.TooLate)
	} else if w.offered {
		w.m.rec.Updated(w.ctx, telemetry.Answered)
	}
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
