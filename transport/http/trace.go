package waybillhttp

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
)

// Redacted returns base with client traces that do not see tokens: for the headers of waybills, the
// hooks of [httptrace.ClientTrace] get the value "[redacted]".
//
// A [Transport] does this for the traces of the request's context. It cannot do it for a trace that
// its base adds, so wrap what such a base sends through:
//
//	traced := otelhttp.NewTransport(waybillhttp.Redacted(http.DefaultTransport), otelhttp.WithClientTrace(...))
//	transport, err := waybillhttp.NewTransport(auth, traced, ...)
//
// If base is nil, it is [http.DefaultTransport].
func Redacted(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return redacting{base}
}

type redacting struct{ base http.RoundTripper }

// RoundTrip sends the request.
func (t redacting) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := redactTrace(r.Context())
	if ctx == r.Context() {
		return t.base.RoundTrip(r)
	}
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of the base, for
// [http.Client.CloseIdleConnections].
func (t redacting) CloseIdleConnections() { closeIdle(t.base) }

// closeIdle closes the idle connections of a RoundTripper that has a method for it.
func closeIdle(rt http.RoundTripper) {
	if rt, ok := rt.(interface{ CloseIdleConnections() }); ok {
		rt.CloseIdleConnections()
	}
}

// redactTrace returns ctx with a client trace whose hooks see no tokens.
func redactTrace(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.WroteHeaderField == nil && trace.Got1xxResponse == nil {
		return ctx
	}
	redacted := *trace
	if wrote := trace.WroteHeaderField; wrote != nil {
		redacted.WroteHeaderField = func(key string, values []string) {
			if carriesToken(key) {
				values = []string{redactedValue}
			}
			wrote(key, values)
		}
	}
	if got := trace.Got1xxResponse; got != nil {
		redacted.Got1xxResponse = func(code int, header textproto.MIMEHeader) error {
			return got(code, redactHeader(header))
		}
	}
	return redactedContext{ctx, trace, &redacted}
}

const redactedValue = "[redacted]"

// redactHeader returns the header without tokens.
func redactHeader(h textproto.MIMEHeader) textproto.MIMEHeader {
	if h[headerKey] == nil && h[returnKey] == nil {
		return h
	}
	h = textproto.MIMEHeader(http.Header(h).Clone())
	for _, key := range []string{headerKey, returnKey} {
		if h[key] != nil {
			h[key] = []string{redactedValue}
		}
	}
	return h
}

// carriesToken reports whether the header named key contains a token. HTTP/2 writes names in lower
// case.
func carriesToken(key string) bool {
	return strings.EqualFold(key, headerKey) || strings.EqualFold(key, returnKey)
}

// redactedContext replaces a client trace. [httptrace.WithClientTrace] would add to it.
type redactedContext struct {
	context.Context
	trace, redacted *httptrace.ClientTrace
}

// Value returns the redacted trace where the context has the trace.
func (c redactedContext) Value(key any) any {
	v := c.Context.Value(key)
	if trace, ok := v.(*httptrace.ClientTrace); ok && trace == c.trace {
		return c.redacted
	}
	return v
}
