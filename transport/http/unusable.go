package waybillhttp

import (
	"fmt"
	"net/http"

	"github.com/waybill-go/waybill"
)

// unusable is the refusal of a request whose tokens cannot be used where a journey is required. The
// client forgets the tokens, whatever the reason, and can send the request again without them.
type unusable struct{ error }

// Unwrap returns the reason why the tokens cannot be used.
func (u unusable) Unwrap() error { return u.error }

// refuseClient answers a refused request of a client. The answer tells the client what to forget,
// and brings what was merged, whatever the status. If the keys are not available, nothing is
// decided.
func (e *Edge) refuseClient(w http.ResponseWriter, r *http.Request, hop waybill.Hop, v *visit, err error) {
	defer hop.Discard()
	settle := func(http.Header) {}
	if status, _ := verdict(err); status != http.StatusServiceUnavailable {
		out := writer{ResponseWriter: w, m: &e.middleware, ctx: r.Context(), hop: hop, visit: v, status: status}
		out.emit(w.Header(), hop.FinalReturn(waybill.Failed))
		settle = out.settle
	}
	e.answerSettled(w, r, err, settle)
}

// answerRefusal writes the application's page of a refusal, or a problem details document.
func (e *Edge) answerRefusal(w http.ResponseWriter, r *http.Request, err error) {
	e.answerSettled(w, r, err, func(http.Header) {})
}

// answerSettled is answerRefusal with a function that sets our fields in the header, whatever the
// page did to them.
func (e *Edge) answerSettled(w http.ResponseWriter, r *http.Request, err error, settle func(http.Header)) {
	e.logRefusal(r, err)
	if e.unusable == nil || isGRPC(r.Header) || isGRPCWeb(r.Header) {
		refuse(w, r, err)
		return
	}
	status, reason := verdict(err)
	refusalHeader(w.Header(), status, reason)
	out := &refusalWriter{ResponseWriter: w, status: status, settle: settle}
	e.unusable(out, r, reason)
	out.finish()
	settle(w.Header()) // a writer that buffers sends the header only now
}

// refusalWriter writes the status of a refusal, unless the application's page has another one.
type refusalWriter struct {
	http.ResponseWriter
	status int               // 0: the header has been written
	settle func(http.Header) // completes the header
}

// Unwrap is for [http.ResponseController].
func (w *refusalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the header.
func (w *refusalWriter) WriteHeader(status int) {
	if status >= 200 {
		w.status = 0
		w.settle(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the page.
func (w *refusalWriter) Write(b []byte) (int, error) {
	w.finish()
	return w.ResponseWriter.Write(b)
}

// FlushError is for [http.ResponseController], which otherwise would flush the header past this
// writer, with the status 200.
func (w *refusalWriter) FlushError() error {
	if !canFlush(w.ResponseWriter) {
		return fmt.Errorf("waybillhttp: %w", http.ErrNotSupported)
	}
	w.finish()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// finish writes the header if the page did not.
func (w *refusalWriter) finish() {
	if w.status != 0 {
		w.WriteHeader(w.status)
	}
}
