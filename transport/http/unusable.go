package waybillhttp

import (
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
	if status, _ := verdict(err); status != http.StatusServiceUnavailable {
		out := writer{ResponseWriter: w, m: &e.middleware, ctx: r.Context(), hop: hop, visit: v, status: status}
		out.emit(w.Header(), hop.FinalReturn(waybill.Failed))
	}
	e.answerRefusal(w, r, err)
}

// answerRefusal writes the application's page of a refusal, or a problem details document.
func (e *Edge) answerRefusal(w http.ResponseWriter, r *http.Request, err error) {
	e.logRefusal(r, err)
	if e.unusable == nil || isGRPC(r.Header) || isGRPCWeb(r.Header) {
		refuse(w, r, err)
		return
	}
	status, reason := verdict(err)
	refusalHeader(w.Header(), status, reason)
	out := &refusalWriter{ResponseWriter: w, status: status}
	e.unusable(out, r, reason)
	out.finish()
}

// refusalWriter writes the status of a refusal, unless the application's page has another one.
type refusalWriter struct {
	http.ResponseWriter
	status int // 0: the header has been written
}

// Unwrap is for [http.ResponseController].
func (w *refusalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the header.
func (w *refusalWriter) WriteHeader(status int) {
	if status >= 200 {
		w.status = 0
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the page.
func (w *refusalWriter) Write(b []byte) (int, error) {
	w.finish()
	return w.ResponseWriter.Write(b)
}

// finish writes the header if the page did not.
func (w *refusalWriter) finish() {
	if w.status != 0 {
		w.WriteHeader(w.status)
	}
}
