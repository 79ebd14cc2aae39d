package waybillgrpc

import (
	"context"
	"encoding/base64"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/waybill-go/waybill"
)

// fits reports whether the returned tokens fit in the trailer next to the status and the trailer that the
// handler has set.
func fits(ctx context.Context, tokens []string, err error) bool {
	size := answerFields + listSize(metadata.MD{waybill.HeaderReturn: tokens})
	if s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ Trailer() metadata.MD }); ok {
		size += listSize(s.Trailer())
	}
	if err != nil {
		size += statusSize(status.Convert(err))
	}
	return size <= listLimit
}

// statusSize returns the size of grpc-message, percent-encoded, and grpc-status-details-bin.
func statusSize(st *status.Status) int {
	size := fieldSize("grpc-message", st.Message())
	for _, c := range []byte(st.Message()) {
		if c < ' ' || c > '~' || c == '%' {
			size += 2
		}
	}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		size += len("grpc-status-details-bin") + base64.RawStdEncoding.EncodedLen(proto.Size(p)) + fieldOverhead
	}
	return size
}

// withoutReturn returns md without the returned token. It never changes md, which others may be reading.
func withoutReturn(md metadata.MD) metadata.MD {
	if _, ok := md[waybill.HeaderReturn]; !ok {
		return md
	}
	md = maps.Clone(md)
	delete(md, waybill.HeaderReturn)
	return md
}

// hideReturn removes the returned token from what the caller asked for with grpc.Header and grpc.Trailer.
func hideReturn(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = withoutReturn(*o.HeaderAddr)
		case grpc.TrailerCallOption:
			*o.TrailerAddr = withoutReturn(*o.TrailerAddr)
		}
	}
}
