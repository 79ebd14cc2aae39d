package waybillgrpc

import (
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
)

// hopHeader is the metadata that a [Client] sends with each token: the caller is a hop of the journey, and
// reads the returned token in the trailer. An edge in front of a server of gRPC then neither begins nor
// renews a journey. The value is "1", and gives no right to anybody; see package waybillhttp.
const hopHeader = "waybill-hop"

// ours reports whether metadata in lower case belongs to waybills.
func ours(key string) bool {
	return key == waybill.Header || key == waybill.HeaderReturn || key == hopHeader
}

// removed removes our names from md. It reports whether there were any.
func removed(md metadata.MD) bool {
	before := len(md)
	delete(md, waybill.Header)
	delete(md, waybill.HeaderReturn)
	delete(md, hopHeader)
	return len(md) < before
}
