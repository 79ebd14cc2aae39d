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

// fits reports whether the update can stand in the trailer beside the status and what the handler has set.
func fits(ctx context.Context, update string, err error) bool {
	size := answerFields + fieldSize(waybill.HeaderUpdate, update)
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

// withoutUpdate returns md without the update, and never changes md: others may be reading it.
func withoutUpdate(md metadata.MD) metadata.MD {
	if _, ok := md[waybill.HeaderUpdate]; !ok {
		return md
	}
	md = maps.Clone(md)
	delete(md, waybill.HeaderUpdate)
	return md
}

// hideUpdate takes the update out of what the caller asked for with grpc.Header and grpc.Trailer.
func hideUpdate(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = withoutUpdate(*o.HeaderAddr)
		case grpc.TrailerCallOption:
			*o.TrailerAddr = withoutUpdate(*o.TrailerAddr)
		}
	}
}
