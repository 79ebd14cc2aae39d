package waybillhttp

import (
	"net/http"
	"strings"
)

// isGRPC reports whether a response speaks gRPC, whose clients look for what comes back in the trailer alone. gRPC-Web does
// not count: it keeps a trailer of its own in the body, and browsers see no other.
func isGRPC(h http.Header) bool {
	for _, contentType := range h["Content-Type"] {
		if rest, ok := strings.CutPrefix(contentType, "application/grpc"); ok {
			return rest == "" || rest[0] == '+' || rest[0] == ';'
		}
	}
	return false
}

// grpcFailed reports whether h, a header or a trailer, says that a call of gRPC failed: the status of its response is 200
// all the same.
func grpcFailed(h http.Header) bool {
	for _, key := range [...]string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if v := h[key]; len(v) > 0 && v[0] != "0" {
			return true
		}
	}
	return false
}
