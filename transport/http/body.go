package waybillhttp

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// How far Close reads on to find a trailer. Most of the time the rest of the response has arrived
// already: decoders of JSON, for example, stop before the end of the body.
const (
	closeBytes = 64 << 10
	closeTime  = 50 * time.Millisecond
)

// body is the body of a response that may have a trailer. The returned token in the trailer is
// merged before the reader sees the end, or, if the reader closes the body earlier, before Close
// returns.
type body struct {
	io.ReadCloser
	t    *Transport
	req  *http.Request
	resp *http.Response
	call *waybill.Call // nil: the request carried no waybill

	mu     sync.Mutex // held while the ReadCloser is read
	ended  bool       // the end was read, or reading failed
	closed atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read(p)
}

// read does the work of Read. The caller holds mu.
func (b *body) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || b.ended {
		return n, err
	}
	b.ended = true
	switch {
	case err == io.EOF:
		returned := b.resp.Trailer[returnKey]
		delete(b.resp.Trailer, returnKey)
		b.t.merge(b.req, b.resp, b.call, returned)
	case b.closed.Load():
		b.unread()
	}
	return n, err
}

// Close reads on to the end of the body, within bounds of bytes and time, and then closes it. If
// the end is further away, a token that may have followed is counted as unread. A Read in progress
// is interrupted, as for every body of net/http.
func (b *body) Close() error {
	again := b.closed.Swap(true)
	if !b.mu.TryLock() {
		return b.ReadCloser.Close()
	}
	defer b.mu.Unlock()
	if again || b.ended || !b.mayBring() {
		return b.ReadCloser.Close()
	}
	return b.readOn()
}

// mayBring reports whether a token may follow that concerns this call.
func (b *body) mayBring() bool { return b.call != nil && !cacheable(b.resp.Header) }

// unread counts a response whose end was not read.
func (b *body) unread() {
	if b.mayBring() {
		b.t.rec.Returned(b.req.Context(), telemetry.Unread)
		b.call.Unread()
	}
}

// readOn reads to the end and closes the body. The caller holds mu.
func (b *body) readOn() error {
	var err error
	closed := make(chan struct{})
	late := time.AfterFunc(closeTime, func() {
		defer close(closed)
		err = b.ReadCloser.Close() // which ends the Read below
	})
	buf := make([]byte, 4<<10)
	for left := closeBytes; left > 0 && !b.ended; {
		n, _ := b.read(buf)
		left -= n
	}
	if !b.ended {
		b.ended = true
		b.unread()
	}
	if late.Stop() {
		err = b.ReadCloser.Close()
	} else {
		<-closed
	}
	return err
}
