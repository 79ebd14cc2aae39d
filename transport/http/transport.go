package waybillhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
//
// The Request of the response is r, which does not contain the token.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := t.pin(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	out := outgoing(r, call)
	resp, err := t.base.RoundTrip(out)
	if call != nil && tooLarge(err) {
		if again, ok := replay(r); ok {
			t.logger.WarnContext(r.Context(), "waybill: not sent, because it does not fit into the headers "+
				"that the server accepts", "destination", r.URL.Host)
			t.rec.Injected(r.Context(), waybill.ErrTooLarge)
			call, out = nil, outgoing(again, nil)
			resp, err = t.base.RoundTrip(out)
		}
	}
	if call != nil {
		t.rec.Injected(r.Context(), nil)
	}
	if resp != nil && out != r {
		resp.Request = r
	}
	if err != nil {
		return resp, err
	}
	t.receive(r, resp, call)
	return resp, nil
}

// tooLarge reports whether nothing was sent because the server announced a limit for the headers,
// and they exceed it. Only HTTP/2 announces one. The error of net/http has no exported value.
func tooLarge(err error) bool {
	return err != nil && strings.Contains(err.Error(), "request header list larger than peer's advertised limit")
}

// replay returns the request with its body from the start, if that is possible.
func replay(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := r.WithContext(r.Context())
	again.Body = body
	return again, true
}

// CloseIdleConnections closes the idle connections of the base, for
// [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() { closeIdle(t.base) }

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
	if err == nil {
		return call, nil // RoundTrip counts it
	}
	t.rec.Injected(ctx, err)
	if errors.Is(err, waybill.ErrForeignDomain) {
		return nil, nil
	}
	return nil, fmt.Errorf("waybillhttp: not sent to %s: %w; get a waybill with a new life from waybill.Reissue",
		r.URL.Host, err)
}

// objection returns why the waybill must not be sent with the request, or "".
func (t *Transport) objection(r *http.Request) string {
	switch {
	case !t.hosts.approves(r.URL):
		return "the host is not in AllowHosts; add it if it belongs to the trust domain"
	case !approvesNames(r, t.hosts.approves):
		return "the request names another host, which is not in AllowHosts"
	case r.URL.Scheme == "https", r.URL.Scheme == "http" && t.plaintext:
		return ""
	case r.URL.Scheme == "http":
		return "plain http; use https, or AllowPlaintext in a trusted network"
	}
	return "neither https nor http"
}

// approvesNames reports whether the hosts are approved that the request names otherwise than by the
// host of its URL. Proxies and servers pass the request on by these names.
func approvesNames(r *http.Request, approves func(*url.URL) bool) bool {
	if r.Host != "" && r.Host != r.URL.Host && !approves(&url.URL{Scheme: r.URL.Scheme, Host: r.Host}) {
		return false
	}
	for key := range r.Header {
		// HTTP/1.1 sends a second Host line if the name is not in canonical form.
		if len(key) == len("Host") && key != "Host" && strings.EqualFold(key, "Host") {
			return false
		}
	}
	if r.URL.Opaque == "" {
		return true
	}
	target := r.URL.RequestURI()
	if target == "*" || strings.HasPrefix(target, "/") {
		return true
	}
	u, err := url.Parse(target)
	return err == nil && u.Scheme == r.URL.Scheme && approves(u)
}

// outgoing returns the request to send: with the call's token if there is a call, and without our
// headers if the application set or copied them. The caller's request is not changed.
func outgoing(r *http.Request, call *waybill.Call) *http.Request {
	if call == nil && !names(r.Header) {
		return r
	}
	ctx := r.Context()
	if call != nil {
		ctx = redactTrace(ctx)
	}
	out := r.WithContext(ctx)
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
	values := []string{call.Token(), "1", "trailers", "TE"}
	out.Header[headerKey] = values[0:1:1]
	out.Header[hopKey] = values[1:2:2]
	askForTrailers(out.Header, values[2:3:3], values[3:4:4])
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
	switch len(key) {
	case len(headerKey):
		return strings.EqualFold(key, headerKey)
	case len(returnKey):
		return strings.EqualFold(key, returnKey)
	case len(hopKey):
		return strings.EqualFold(key, hopKey)
	}
	return false
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
	outcome, err := call.Merge(tokens(returned), result, t.accept...)
	t.rec.Merged(r.Context(), outcome, err)
}

// tokens returns the values of a field one by one: an intermediary may have combined them with commas
// (RFC 9110, section 5.3), which no token contains.
func tokens(values []string) []string {
	var out []string
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			out = append(out, strings.Trim(token, " \t"))
		}
	}
	return out
}

// mayHaveTrailer reports whether a trailer can follow. The body of a switched protocol is a
// connection, and is not wrapped.
func mayHaveTrailer(resp *http.Response) bool {
	return resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != nil && resp.Body != http.NoBody &&
		(resp.ContentLength < 0 || resp.ProtoMajor >= 2)
}
