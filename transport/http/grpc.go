package waybillhttp

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
)

// gRPC over net/http is HTTP with additional rules (PROTOCOL-HTTP2.md of gRPC). Metadata for the
// caller of a failed call is in the trailers, next to the status. A response header of the
// application would stop the caller from retrying.

const grpcStatus = "Grpc-Status"

// isGRPC reports whether a message belongs to gRPC. gRPC-Web does not count, because its trailers
// are in the body.
func isGRPC(h http.Header) bool {
	rest, ok := strings.CutPrefix(mediaType(h), "application/grpc")
	return ok && (rest == "" || rest[0] == '+')
}

// isGRPCWeb is [isGRPC] for gRPC-Web.
func isGRPCWeb(h http.Header) bool {
	return strings.HasPrefix(mediaType(h), "application/grpc-web")
}

func mediaType(h http.Header) string {
	if h["Content-Type"] == nil {
		return ""
	}
	t, _, _ := strings.Cut(h["Content-Type"][0], ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// trailersOnly reports whether the header of a gRPC response already has the status. Then the
// header is also the trailer.
func trailersOnly(h http.Header) bool { return h[grpcStatus] != nil && h["Trailer"] == nil }

// rpcFailed reports whether the response of a call has the status of a failure. A gRPC response
// without a status has failed. Other responses, such as those of gRPC-Web, need no status here.
func rpcFailed(h http.Header, grpc bool) bool {
	status := h[grpcStatus]
	if status == nil {
		status = h[http.TrailerPrefix+grpcStatus]
	}
	if status == nil {
		return grpc
	}
	return len(status) != 1 || status[0] != "0"
}

// callFailed reports whether a received response has the status of a failed call. The status may be
// unknown before the end of the body.
func callFailed(resp *http.Response) bool {
	status := resp.Trailer.Get(grpcStatus)
	if status == "" {
		status = resp.Header.Get(grpcStatus)
	}
	return status != "" && status != "0"
}

// refuseRPC refuses a call of gRPC or gRPC-Web, with the status that package waybillgrpc uses.
func refuseRPC(w http.ResponseWriter, r *http.Request, reason string, code uint32) {
	h := w.Header()
	h.Set("Content-Type", r.Header.Get("Content-Type"))
	h.Set(grpcStatus, strconv.FormatUint(uint64(code), 10))
	h.Set("Grpc-Message", "waybill refused: "+reason)
	w.WriteHeader(http.StatusOK)
}

// grpcCode returns the gRPC status code of a refusal.
func grpcCode(status int, err error) uint32 {
	switch status {
	case http.StatusUnauthorized:
		return admission.GRPCCode(waybill.ErrNoWaybill)
	case http.StatusForbidden:
		return admission.GRPCCode(waybill.ErrMissingClaim)
	}
	return admission.GRPCCode(err)
}
