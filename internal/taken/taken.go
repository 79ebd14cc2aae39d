// Package taken remembers which HTTP header a waybill was taken out of. Whatever stands further in and looks at the same
// header finds no token there, and must not conclude that the request came without one.
package taken

import (
	"context"
	"net/http"
	"reflect"

	"github.com/waybill-go/waybill"
)

// mark names the header by its identity: contexts are inherited, by calls inside one process for instance, and another
// request without a token is a request without a waybill.
type mark struct {
	context.Context
	auth   *waybill.Authority
	hop    waybill.Hop
	header http.Header
}

type markKey struct{}

// Value makes the mark the context that holds it.
func (m *mark) Value(key any) any {
	if key == (markKey{}) {
		return m
	}
	return m.Context.Value(key)
}

// NewContext returns ctx with the note that auth opened the hop's token, and that it was taken out of header.
func NewContext(ctx context.Context, auth *waybill.Authority, hop waybill.Hop, header http.Header) context.Context {
	return &mark{ctx, auth, hop, header}
}

// From returns the hop whose token auth took out of this very header.
func From(ctx context.Context, auth *waybill.Authority, header http.Header) (waybill.Hop, bool) {
	m, ok := ctx.Value(markKey{}).(*mark)
	if !ok || m.auth != auth || reflect.ValueOf(m.header).UnsafePointer() != reflect.ValueOf(header).UnsafePointer() {
		return waybill.Hop{}, false
	}
	return m.hop, true
}
