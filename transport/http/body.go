package waybillhttp

import (
	"io"
	"net/http"

	"github.com/waybill-go/waybill"
)

// body is the body of a response that may have a trailer. The returned token in the trailer is
// merged before the reader sees the end. A body that is closed before its end brings no token.
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
		returned := b.resp.Trailer[returnKey]
		delete(b.resp.Trailer, returnKey)
		b.t.merge(b.req, b.resp, b.call, returned)
	}
	return n, err
}
