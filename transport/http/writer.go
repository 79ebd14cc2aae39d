package waybillhttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// writer adds the returned token to the response: to the header, as late as possible, and again to
// a trailer if claims change afterwards, the client accepts trailers and this response can have
// one.
//
// It has the methods that every [http.ResponseWriter] may have. See shape.go for the others.
type writer struct {
	http.ResponseWriter
	m    *middleware
	ctx  context.Context
	hop  waybill.Hop
	seen http.Header // of the request, as inner layers see it

	visit *visit // of a client of an edge; else nil

	fromHop  bool // a Transport sent the request
	trailers bool // the client accepts them
	http2    bool
	varies   bool      // the response is one that caches store
	vary     [1]string // saves an allocation
	status   int       // of the final header, or 0 before it is written
	sent     []string  // the tokens in the header
	pending  []string  // the tokens that did not fit into the header
	trailing bool      // a trailer can still return a token
	grpc     bool      // the token goes into the trailer only
	offered  []string  // the tokens in the header of an upgrade
	hijacked bool
}

func (w *writer) own() *writer { return w }

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	switch {
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		// The token goes with the final header.
		delete(w.Header(), returnKey)
		if e := w.m.edge; e != nil && e.cookies != nil {
			e.cookies.replace(w.Header(), nil)
		}
	case w.status == 0:
		w.head(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	w.first()
	return w.ResponseWriter.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	w.first()
	return io.WriteString(w.ResponseWriter, s)
}

// FlushError is for [http.ResponseController], which otherwise would flush the header past this
// writer.
func (w *writer) FlushError() error {
	if !canFlush(w.ResponseWriter) {
		return fmt.Errorf("waybillhttp: %w", http.ErrNotSupported)
	}
	if w.visit != nil {
		w.visit.flushed = true
	}
	w.first()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// first completes the header before the first byte of a response without a status.
func (w *writer) first() {
	if w.status == 0 {
		w.head(http.StatusOK)
	}
}

// head completes the header of the final response.
func (w *writer) head(status int) {
	w.status = status
	h := w.Header()
	unannounce(h)
	w.grpc = w.http2 && isGRPC(h)
	if v := w.visit; v != nil {
		w.renew(w.lasts(h))
		v.journey = v.tokens != nil || !w.hop.Vacant()
	}
	w.trailing = w.canHaveTrailer(h)
	switch {
	case !w.trailing:
		w.emit(h, w.orOffered(w.hop.FinalReturn(w.result())))
	case w.grpc:
		w.settle(h)
	default:
		tokens := w.orOffered(w.hop.Return(w.result()))
		if tokens != nil && !w.fits(h, tokens) {
			w.pending, tokens = tokens, nil
		}
		w.emit(h, tokens)
	}
}

// orOffered returns the tokens, or those that [UpgradeHeader] returned if nothing has changed since
// then: the handler did not upgrade the connection.
func (w *writer) orOffered(tokens []string) []string {
	if tokens == nil && w.result() == waybill.Succeeded {
		return w.offered
	}
	return tokens
}

// renew renews the waybill of an edge's client if it is due, or always.
func (w *writer) renew(always bool) {
	if w.visit != nil {
		w.visit.edge.renew(w.ctx, w.hop, always)
	}
}

// lasts reports whether the response can last for long, so that its client should begin with a whole
// life: a stream of events, another protocol, or a response that is flushed before its end.
func (w *writer) lasts(h http.Header) bool {
	return w.status == http.StatusSwitchingProtocols || !w.grpc && (w.visit.flushed || mediaType(h) == "text/event-stream")
}

// emit sets the returned tokens. They replace values that the handler copied from other responses.
func (w *writer) emit(h http.Header, tokens []string) {
	if w.visit != nil {
		w.emitToClient(h, tokens)
	} else if tokens != nil {
		w.emitHeader(h, tokens)
	}
	w.settle(h)
}

// emitHeader sets the returned tokens in our header.
func (w *writer) emitHeader(h http.Header, tokens []string) {
	if !w.fits(h, tokens) {
		w.tooLarge()
		return
	}
	w.sent = tokens
	w.m.rec.Returned(w.ctx, telemetry.Answered)
}

// settle sets our names in the header to the values of the response, whatever the handler did to
// them, and the fields that control caches. A writer that buffers sends the header only after the
// handler has returned.
func (w *writer) settle(h http.Header) {
	delete(h, http.TrailerPrefix+returnKey)
	if w.sent == nil {
		delete(h, returnKey)
	} else {
		h[returnKey] = w.sent
	}
	if w.m.edge != nil && w.m.edge.settle(h, w.visit) || w.sent != nil {
		forbidCaching(h)
		return
	}
	w.keepPrivate(h)
	w.setVary(h)
}

// result returns the result of the request, as far as the response shows it.
func (w *writer) result() waybill.Result {
	if w.status >= 400 || rpcFailed(w.Header(), w.grpc) {
		return waybill.Failed
	}
	return waybill.Succeeded
}

// canHaveTrailer reports whether a trailer after this response would arrive, and is allowed. Only a
// [Transport] and clients of gRPC read the token there. A response that may be stored has none,
// because a token must not be cached.
func (w *writer) canHaveTrailer(h http.Header) bool {
	switch {
	case !w.trailers, !w.fromHop && !w.grpc, w.visit != nil && w.visit.by != byHeader:
		return false
	case w.status < 200, w.status == http.StatusNoContent, w.status == http.StatusNotModified:
		return false
	case w.grpc:
		return !trailersOnly(h)
	case !w.http2 && (h["Content-Length"] != nil || otherwiseEncoded(h)):
		return false
	}
	return !cacheable(h) && canFlush(w.ResponseWriter)
}

// unannounce removes our name from the trailers that a handler declared. A proxy declares the
// trailers of its upstream.
func unannounce(h http.Header) {
	declared := h["Trailer"]
	if declared == nil {
		return
	}
	var others []string
	for _, value := range declared {
		for key := range strings.SplitSeq(value, ",") {
			if key = strings.Trim(key, " \t"); !strings.EqualFold(key, returnKey) {
				others = append(others, key)
			}
		}
	}
	delete(h, "Trailer")
	if others != nil {
		h["Trailer"] = []string{strings.Join(others, ", ")}
	}
}

// otherwiseEncoded reports whether the handler asked for a transfer encoding other than chunked,
// the only one with trailers.
func otherwiseEncoded(h http.Header) bool {
	encoding := h["Transfer-Encoding"]
	return encoding != nil && (len(encoding) != 1 || encoding[0] != "chunked")
}

// finish ends the hop after the handler has returned.
func (w *writer) finish() {
	defer w.countMissed()
	if w.hijacked {
		w.hop.Commit(waybill.Succeeded)
		return
	}
	w.first() // the handler may have written nothing, and net/http is about to write 200
	h := w.Header()
	w.settle(h)
	if w.trailing {
		w.renew(false) // a long stream may have used up the life that it began with
	}
	tokens := w.hop.Commit(w.result())
	if tokens == nil {
		tokens = w.pending // nothing has changed since
	}
	if tokens == nil {
		return
	}
	if !w.trailerFits(h, tokens) {
		w.tooLarge()
		return
	}
	// Without a flush, net/http gives a short body a Content-Length and no trailer.
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		w.m.rec.Returned(w.ctx, telemetry.TooLate)
		return
	}
	h[http.TrailerPrefix+returnKey] = tokens
	w.m.rec.Returned(w.ctx, telemetry.Answered)
}

// countMissed counts the changes that were too late.
func (w *writer) countMissed() {
	for range w.hop.Missed() {
		w.m.rec.Returned(w.ctx, telemetry.TooLate)
	}
}

// abandon ends the hop after the handler has panicked.
func (w *writer) abandon() {
	w.hop.Discard()
	w.countMissed()
	if !w.hijacked {
		w.sent = nil
		w.visit.withdraw()
		w.settle(w.Header()) // an outer layer that recovers may still answer
	}
}

// canFlush reports whether [http.ResponseController] can flush w.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}
