package waybillhttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// Handlers find out by type assertions what their ResponseWriter can do. The shapes below have the
// methods of the wrapped writer, for the writers of net/http and for their imitations: HTTP/1,
// HTTP/2, [http.TimeoutHandler] and plain recorders.
//
// A wrapped writer may have only Unwrap, and a hijacker below it. [http.ResponseController] would
// find that hijacker past this writer, so each shape also exists with the method Hijack.

// wrap returns rw for the handler, and the writer in it.
func wrap(w http.ResponseWriter, base writer) (rw http.ResponseWriter, in *writer) {
	_, flusher := w.(http.Flusher)
	_, hijacker := w.(http.Hijacker)
	_, pusher := w.(http.Pusher)
	switch {
	case flusher && hijacker:
		s := &shapeHTTP1{flushing{base}}
		return s, &s.writer
	case canHijack(w):
		return wrapHijacker(flusher, pusher, base)
	case flusher && pusher:
		s := &shapeHTTP2{flushing{base}}
		return s, &s.writer
	case flusher:
		s := &flushing{base}
		return s, &s.writer
	case pusher:
		s := &shapeTimeout{base}
		return s, &s.writer
	}
	s := new(writer) // not &base, which would put the parameter on the heap in every case
	*s = base
	return s, s
}

// wrapHijacker is [wrap] for the less usual writers with a hijacker below them.
func wrapHijacker(flusher, pusher bool, base writer) (http.ResponseWriter, *writer) {
	switch {
	case flusher && pusher:
		s := &hijackingHTTP2{shapeHTTP2{flushing{base}}}
		return s, &s.writer
	case flusher:
		s := &hijackingFlusher{flushing{base}}
		return s, &s.writer
	case pusher:
		s := &hijackingTimeout{shapeTimeout{base}}
		return s, &s.writer
	}
	s := &hijacking{base}
	return s, &s.writer
}

// canHijack reports whether [http.ResponseController] can hijack the connection of w.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

type hijacking struct{ writer }

// Hijack makes this an [http.Hijacker].
func (w *hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

type hijackingFlusher struct{ flushing }

// Hijack makes this an [http.Hijacker].
func (w *hijackingFlusher) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

type hijackingHTTP2 struct{ shapeHTTP2 }

// Hijack makes this an [http.Hijacker].
func (w *hijackingHTTP2) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

type hijackingTimeout struct{ shapeTimeout }

// Hijack makes this an [http.Hijacker].
func (w *hijackingTimeout) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

type flushing struct{ writer }

// Flush makes this an [http.Flusher].
func (w *flushing) Flush() { w.FlushError() }

type shapeHTTP1 struct{ flushing }

// Hijack makes this an [http.Hijacker]. No token can be returned afterwards.
func (w *shapeHTTP1) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

// ReadFrom makes this an [io.ReaderFrom], so that files are sent with sendfile.
func (w *shapeHTTP1) ReadFrom(src io.Reader) (int64, error) {
	w.first()
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(w.ResponseWriter, src)
}

// CloseNotify makes this an [http.CloseNotifier].
func (w *shapeHTTP1) CloseNotify() <-chan bool { return w.closeNotify() }

type shapeHTTP2 struct{ flushing }

// Push makes this an [http.Pusher].
func (w *shapeHTTP2) Push(target string, opts *http.PushOptions) error {
	return w.ResponseWriter.(http.Pusher).Push(target, opts)
}

// CloseNotify makes this an [http.CloseNotifier].
func (w *shapeHTTP2) CloseNotify() <-chan bool { return w.closeNotify() }

// closeNotify is for callers that assert the deprecated interface without a check, such as gin's
// Stream.
func (w *writer) closeNotify() <-chan bool {
	//lint:ignore SA1019 the wrapped writer's own channel is the exact one
	if n, ok := w.ResponseWriter.(http.CloseNotifier); ok {
		return n.CloseNotify()
	}
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}

type shapeTimeout struct{ writer }

// Push makes this an [http.Pusher].
func (w *shapeTimeout) Push(target string, opts *http.PushOptions) error {
	return w.ResponseWriter.(http.Pusher).Push(target, opts)
}
