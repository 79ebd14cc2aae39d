package waybillhttp

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
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

// verdict returns the status and the reason of a refusal.
func verdict(err error) (status int, reason string) {
	switch err.(type) {
	case crossOrigin:
		return http.StatusForbidden, telemetry.CrossOrigin
	case unusable:
		return http.StatusUnauthorized, waybill.Reason(err)
	}
	return statuses[waybill.ClassOf(err)], waybill.Reason(err)
}

// refuse answers a request that is refused because of err.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, reason := verdict(err)
	if isGRPC(r.Header) || isGRPCWeb(r.Header) {
		refuseRPC(w, r, reason, grpcCode(status, err))
		return
	}
	refusalHeader(w.Header(), status, reason)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// Strings and a number always marshal.
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(status), status, reason})
	w.Write(body)
}

// refusalHeader sets the fields of a refusal, but for its content.
func refusalHeader(h http.Header, status int, reason string) {
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Waybill error="`+reason+`"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
}
