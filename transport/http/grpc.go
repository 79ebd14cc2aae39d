package waybillhttp

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/waybill-go/waybill"
)

// gRPC over net/http is HTTP with rules of its own (PROTOCOL-HTTP2.md of gRPC): metadata for the caller of a failed call,
// and all that may not stand in its way of trying again, is in the trailers, next to the status.

const grpcStatus = "Grpc-Status"

// isGRPC reports whether a message is one of gRPC. One of gRPC-Web is not: its trailers stand in the body.
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

// trailersOnly reports whether the header of a gRPC response has the status already: then the header is the trailer.
func trailersOnly(h http.Header) bool { return h[grpcStatus] != nil && h["Trailer"] == nil }

// rpcFailed reports whether the handler of a call said that it failed. A response of gRPC without a status is one that did;
// others, of gRPC-Web for instance, need not have one here.
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

// callFailed reports whether the server of a call said so. Before the end of the body nothing may be known.
func callFailed(resp *http.Response) bool {
	status := resp.Trailer.Get(grpcStatus)
	if status == "" {
		status = resp.Header.Get(grpcStatus)
	}
	return status != "" && status != "0"
}

// grpcCodes is the code of each class of refusal (google/rpc/code.proto).
var grpcCodes = [...]int{
	waybill.Unauthenticated: 16,
	waybill.Denied:          7,
	waybill.Invalid:         3,
	waybill.TooLarge:        3,
	waybill.Unavailable:     14,
}

// refuseRPC answers a call of gRPC or gRPC-Web whose waybill is not good enough, with the status of package waybillgrpc.
func refuseRPC(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	h.Set("Content-Type", r.Header.Get("Content-Type"))
	h.Set(grpcStatus, strconv.Itoa(grpcCodes[waybill.ClassOf(err)]))
	h.Set("Grpc-Message", "waybill refused: "+waybill.Reason(err))
	w.WriteHeader(http.StatusOK)
}
