package waybillgrpc

import (
	"encoding/base64"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Sizes in bytes, as RFC 9113, section 6.5.2 counts a list of header fields.
const (
	// listLimit is the default limit in C and Java, and the coming default in Go. A call or response over
	// the limit fails, and may end all calls of its connection.
	listLimit = 8 << 10

	fieldOverhead = 32  // of each field
	answerFields  = 256 // :status, content-type and grpc-status of a response without headers, and a reserve
	requestFields = 768 // what gRPC adds to a request, without the names of host and method, and a reserve
)

// listSize returns the size of metadata.
func listSize(md metadata.MD) (size int) {
	for key, values := range md {
		for _, v := range values {
			size += fieldSize(key, v)
		}
	}
	return size
}

func fieldSize(key, value string) int {
	n := len(value)
	if strings.HasSuffix(key, "-bin") {
		n = base64.RawStdEncoding.EncodedLen(n)
	}
	return len(key) + n + fieldOverhead
}
