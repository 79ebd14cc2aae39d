package waybillhttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// writer puts the update into the response: into the header, as late as that goes, and what changes afterwards into a
// trailer, if the client asked for trailers and this response can have one.
//
// It has the methods that every [http.ResponseWriter] may have; see shape.go for the others.
type writer struct {
	http.ResponseWriter
	m   *middleware
	ctx context.Context
	hop waybill.Hop

	trailers bool // the client takes them
	http2    bool
	status   int      // of the header that was written, or 0
	sent     []string // the update in the header
	trailing bool     // the way back is still open
	grpc     bool     // the update goes into the trailer only
	offered  bool     // the update is in the header of an upgrade
	hijacked bool
}

func (w *writer) own() *writer { return w }

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	switch {
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		delete(w.Header(), updateKey) // the update goes with the final header
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

// FlushError is for [http.ResponseController], which would otherwise flush the header behind our back.
func (w *writer) FlushError() error {
	if !canFlush(w.ResponseWriter) {
		return fmt.Errorf("waybillhttp: %w", http.ErrNotSupported)
	}
	w.first()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// first does what the first byte of a response does when no status was set.
func (w *writer) first() {
	if w.status == 0 {
		w.head(http.StatusOK)
	}
}

// head completes the header of the final response.
func (w *writer) head(status int) {
	w.status = status
	if w.m.edge {
		w.m.renew(w.ctx, w.hop)
	}
	h := w.Header()
	unannounce(h)
	w.grpc = w.http2 && isGRPC(h)
	w.trailing = w.trailers && w.takesTrailer(h)
	switch {
	case !w.trailing:
		w.emit(h, w.hop.Last(w.failed()))
	case w.grpc:
		w.settle(h)
	default:
		w.emit(h, w.hop.Update(w.failed()))
		if w.m.edge {
			h.Set("Cache-Control", "no-store") // a token may follow
		}
	}
}

// emit sets the update in place of whatever a handler copied there from elsewhere.
func (w *writer) emit(h http.Header, update string) {
	if update != "" {
		w.sent = []string{update}
		h.Set("Cache-Control", "no-store")
		w.m.rec.Updated(w.ctx, telemetry.Answered)
	}
	w.settle(h)
}

// settle leaves our names in the header as the response has them, whatever the handler did to them: a writer that buffers
// sends the header when the handler has returned.
func (w *writer) settle(h http.Header) {
	delete(h, http.TrailerPrefix+updateKey)
	if w.sent == nil {
		delete(h, updateKey)
		return
	}
	h[updateKey] = w.sent
}

func (w *writer) failed() bool { return w.status >= 400 || rpcFailed(w.Header(), w.grpc) }

// takesTrailer reports whether a trailer behind this response would arrive, and may. A response that says it may be cached
// has none: a token must not be.
func (w *writer) takesTrailer(h http.Header) bool {
	switch {
	case w.status < 200, w.status == http.StatusNoContent, w.status == http.StatusNotModified:
		return false
	case w.grpc:
		return !trailersOnly(h)
	case !w.http2 && (h["Content-Length"] != nil || otherwiseEncoded(h)):
		return false
	}
	return !cacheable(h) && canFlush(w.ResponseWriter)
}

// unannounce takes our name out of the trailers that a handler declared: a proxy declares those of its upstream.
func unannounce(h http.Header) {
	declared := h["Trailer"]
	if declared == nil {
		return
	}
	var others []string
	for _, value := range declared {
		for key := range strings.SplitSeq(value, ",") {
			if key = strings.Trim(key, " \t"); !strings.EqualFold(key, updateKey) {
				others = append(others, key)
			}
		}
	}
	delete(h, "Trailer")
	if others != nil {
		h["Trailer"] = []string{strings.Join(others, ", ")}
	}
}

// otherwiseEncoded reports whether the handler has asked for another transfer encoding than the one that has trailers.
func otherwiseEncoded(h http.Header) bool {
	encoding := h["Transfer-Encoding"]
	return encoding != nil && (len(encoding) != 1 || encoding[0] != "chunked")
}

// cacheable reports whether a response says that it may be stored and used again. What must be validated before (no-cache,
// as streams of events have it) cannot be used again if there is nothing to validate it by (RFC 9111, sections 4.3 and 5.2).
func cacheable(h http.Header) bool {
	said := false
	for _, value := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(value, ",") {
			switch strings.ToLower(strings.Trim(directive, " \t")) {
			case "no-store", "private":
				return false
			case "no-cache":
				if h["Etag"] == nil && h["Last-Modified"] == nil {
					return false
				}
			}
			said = true
		}
	}
	return said
}

// finish ends the hop behind a handler that returned.
func (w *writer) finish() {
	defer w.countMissed()
	if w.hijacked {
		w.hop.Commit(false)
		return
	}
	w.first() // the handler may have written nothing, and net/http is about to write 200
	h := w.Header()
	w.settle(h)
	update := w.hop.Commit(w.failed())
	if update == "" {
		return
	}
	// Without a flush, net/http would give a short body a Content-Length and no trailer.
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		w.m.rec.Updated(w.ctx, telemetry.TooLate)
		return
	}
	h[http.TrailerPrefix+updateKey] = []string{update}
	w.m.rec.Updated(w.ctx, telemetry.Answered)
}

// countMissed counts the changes that the handler was told are too late.
func (w *writer) countMissed() {
	for range w.hop.Missed() {
		w.m.rec.Updated(w.ctx, telemetry.TooLate)
	}
}

// abandon ends the hop behind a handler that panicked.
func (w *writer) abandon() {
	w.hop.Discard()
	w.countMissed()
	if !w.hijacked {
		w.sent = nil
		w.settle(w.Header()) // whoever recovers may answer yet
	}
}

// wantsTrailers reports whether the client takes a trailer in the response.
func wantsTrailers(r *http.Request) bool {
	return r.Method != http.MethodHead && r.ProtoAtLeast(1, 1) && listsTrailers(r.Header["Te"])
}

// listsTrailers reports whether the TE header says "trailers".
func listsTrailers(te []string) bool {
	for _, value := range te {
		for coding := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(coding, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
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
