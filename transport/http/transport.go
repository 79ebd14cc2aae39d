package waybillhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/waybill-go/waybill"
)

// Transport sends the waybill in the context of each request to approved hosts, and merges the
// token that comes back. It is safe for concurrent use. [NewTransport] makes one; RoundTrip of the
// zero Transport returns an error.
type Transport struct {
	common
	base      http.RoundTripper
	hosts     hosts
	plaintext bool
	accept    []waybill.MergeOption
}

var _ http.RoundTripper = (*Transport)(nil)

// NewTransport returns a Transport that sends requests through base. If base is nil, it is
// [http.DefaultTransport]. Without [AllowHosts] no host gets a waybill.
func NewTransport(auth *waybill.Authority, base http.RoundTripper, opts ...ClientOption) (*Transport, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	if base == nil {
		base = http.DefaultTransport
	}
	t := &Transport{common: common, base: base}
	for _, o := range opts {
		if err := o.applyClient(t); err != nil {
			return nil, err
		}
	}
	t.record()
	return t, nil
}

// RoundTrip sends one request. A client that follows redirects calls RoundTrip for each of them. If
// the waybill has expired since it was received and the host is approved, nothing is sent and the
// error wraps [waybill.ErrExpired]; see [waybill.Reissue]. A request without a waybill, or to a
// host that is not approved, is sent without one.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := t.pin(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(outgoing(r, call))
	if err != nil {
		return resp, err
	}
	t.receive(r, resp, call)
	return resp, nil
}

// CloseIdleConnections closes the idle connections of the base, for
// [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// pin returns the call with its token, or nil if the request goes on without one.
func (t *Transport) pin(r *http.Request) (*waybill.Call, error) {
	if t.auth == nil {
		return nil, errors.New("waybillhttp: Transport was not made by NewTransport")
	}
	ctx := r.Context()
	if _, err := waybill.FromContext(ctx); err != nil {
		t.rec.Injected(ctx, err)
		return nil, nil
	}
	if r.URL == nil {
		return nil, nil // the base reports it
	}
	if why := t.objection(r); why != "" {
		t.rec.Suppressed(ctx, r.URL.Host, why)
		return nil, nil
	}
	call, err := t.auth.Send(ctx)
	t.rec.Injected(ctx, err)
	switch {
	case err == nil:
		return call, nil
	case errors.Is(err, waybill.ErrForeignDomain):
		return nil, nil
	}
	return nil, fmt.Errorf("waybillhttp: not sent to %s: %w; get a waybill with a new life from waybill.Reissue",
		r.URL.Host, err)
}

// objection returns why the waybill must not be sent with the request, or "".
func (t *Transport) objection(r *http.Request) string {
	switch {
	case !t.hosts.approves(r.URL):
		return "the host is not in AllowHosts"
	case r.URL.Scheme == "https", r.URL.Scheme == "http" && t.plaintext:
		return ""
	case r.URL.Scheme == "http":
		return "plain http, without AllowPlaintext"
	}
	return "neither https nor http"
}

// outgoing returns the request to send: with the call's token if there is a call, and without
// tokens that the application set or copied. The caller's request is not changed.
func outgoing(r *http.Request, call *waybill.Call) *http.Request {
	if call == nil && !names(r.Header) {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	for key := range out.Header {
		if ours(key) {
			delete(out.Header, key)
		}
	}
	if call == nil {
		return out
	}
	out.Header[headerKey] = []string{call.Token()}
	if !listsTrailers(out.Header["Te"]) {
		out.Header.Add("Te", "trailers")
	}
	return out
}

// names reports whether h has one of our names.
func names(h http.Header) bool {
	for key := range h {
		if ours(key) {
			return true
		}
	}
	return false
}

// ours reports whether key is one of our names, in any case: an application may have set the map's
// key directly, and HTTP ignores case.
func ours(key string) bool {
	return len(key) == len(headerKey) && strings.EqualFold(key, headerKey) ||
		len(key) == len(returnKey) && strings.EqualFold(key, returnKey)
}

// receive removes the returned token from the response, and merges it if the request carried a
// waybill. A token in the trailer follows at the end of the body.
func (t *Transport) receive(r *http.Request, resp *http.Response, call *waybill.Call) {
	returned := resp.Header[returnKey]
	delete(resp.Header, returnKey)
	delete(resp.Trailer, returnKey) // announced
	t.merge(r, resp, call, returned)
	if mayHaveTrailer(resp) {
		resp.Body = &body{ReadCloser: resp.Body, t: t, req: r, resp: resp, call: call}
	}
}

func (t *Transport) merge(r *http.Request, resp *http.Response, call *waybill.Call, returned []string) {
	if call == nil || len(returned) == 0 {
		return
	}
	result := waybill.Succeeded
	if resp.StatusCode >= 400 || callFailed(resp) {
		result = waybill.Failed
	}
	// Several tokens, joined, are malformed and rejected.
	outcome, err := call.Merge(strings.Join(returned, ","), result, t.accept...)
	t.rec.Merged(r.Context(), outcome, err)
}

// mayHaveTrailer reports whether a trailer can follow. The body of a switched protocol is a
// connection, and is not wrapped.
func mayHaveTrailer(resp *http.Response) bool {
	return resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != nil && resp.Body != http.NoBody &&
		(resp.ContentLength < 0 || resp.ProtoMajor >= 2)
}
