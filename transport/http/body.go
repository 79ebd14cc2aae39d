package waybillhttp

import (
	"io"
	"net/http"

	"github.com/waybill-go/waybill"
)

// body is that of a response behind which a trailer may stand. The update in it is merged before the reader sees the end.
// A body that is closed before its end brings nothing.
type body struct {
	io.ReadCloser
	t    *Transport
	req  *http.Request
	resp *http.Response
	call *waybill.Call // nil: the request carried no waybill
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		updates := b.resp.Trailer[updateKey]
		delete(b.resp.Trailer, updateKey)
		b.t.merge(b.req, b.resp, b.call, updates)
	}
	return n, err
}
