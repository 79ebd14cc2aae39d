package waybillhttp

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/waybill-go/waybill"
)

// retryAfter is the Retry-After of a refusal that is not the client's fault, in seconds. It is long
// enough to load a key ring.
const retryAfter = 5

// problem is the body of a refusal (RFC 9457). It does not contain the cause.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason string `json:"reason"`
}

// statuses are the HTTP status codes of each class of refusal.
var statuses = [...]int{
	waybill.OK:              http.StatusOK,
	waybill.Unauthenticated: http.StatusUnauthorized,
	waybill.Denied:          http.StatusForbidden,
	waybill.Invalid:         http.StatusBadRequest,
	waybill.TooLarge:        http.StatusRequestHeaderFieldsTooLarge,
	waybill.Unavailable:     http.StatusServiceUnavailable,
}

// refuse answers a request that is refused because of err.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if isGRPC(r.Header) || isGRPCWeb(r.Header) {
		refuseRPC(w, r, err)
		return
	}
	status, reason := statuses[waybill.ClassOf(err)], waybill.Reason(err)
	// Strings and a number always marshal.
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(status), status, reason})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Waybill error="`+reason+`"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(status)
	w.Write(body)
}
