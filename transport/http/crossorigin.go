package waybillhttp

import (
	"net/http"

	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// crossOrigin is the refusal of a request that another origin's page has made.
type crossOrigin struct{ error }

// Unwrap returns what the protection says.
func (c crossOrigin) Unwrap() error { return c.error }

// checkOrigin refuses requests that change something and come from another origin, if cookies carry
// the journey: a browser adds them to the requests of every page. The header Waybill needs a
// preflight, and a parameter has to be known.
func (e *Edge) checkOrigin(r *http.Request, v *visit) error {
	if e.crossing == nil || v.by != byCookie {
		return nil
	}
	judged := r
	if isUpgrade(r.Header) {
		// A handshake is a GET, and opens a connection that can change anything.
		judged = new(http.Request)
		*judged = *r
		judged.Method = http.MethodPost
	}
	err := e.crossing.Check(judged)
	if err == nil {
		return nil
	}
	if e.rules.ReportOnly {
		e.rec.ObservedAs(r.Context(), telemetry.CrossOrigin)
		return nil
	}
	e.rec.RefusedAs(r.Context(), telemetry.CrossOrigin)
	return crossOrigin{err}
}
