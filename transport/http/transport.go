package waybillhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// Transport sends the waybill of each request's context to approved hosts, and takes back what they made of it. It is safe
// for concurrent use.
type Transport struct {
	config
	auth   *waybill.Authority
	base   http.RoundTripper
	rec    *telemetry.Recorder
	failed []waybill.ReturnOption // accept, for a call that failed
}

var _ http.RoundTripper = (*Transport)(nil)

// NewTransport returns a Transport that sends requests through base, [http.DefaultTransport] if nil. Without [AllowHosts]
// no host gets a waybill. It panics if a pattern is invalid, or the Authority nil.
func NewTransport(auth *waybill.Authority, base http.RoundTripper, opts ...Option) *Transport {
	if auth == nil {
		panic("waybillhttp: nil Authority")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	t := &Transport{config: newConfig(opts), auth: auth, base: base}
	t.rec = telemetry.New("http", t.provider, t.logger)
	t.failed = append(slices.Clip(t.accept), waybill.Failed())
	return t
}

// RoundTrip sends one request: of a client that follows redirects, each one anew. A waybill that has expired since it was
// received is not sent to an approved host; the request fails with an error that wraps [waybill.ErrExpired], see
// [waybill.Reissue]. Without a waybill, or with one that stays here, the request goes on without.
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
	t.take(r, resp, call)
	return resp, nil
}

// CloseIdleConnections passes on what [http.Client.CloseIdleConnections] asks for.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// pin returns the call with its token, or nil if the request goes on without one.
func (t *Transport) pin(r *http.Request) (*waybill.Call, error) {
	ctx := r.Context()
	if _, err := waybill.FromContext(ctx); err != nil {
		t.rec.Injected(ctx, err)
		return nil, nil
	}
	if r.URL == nil {
		return nil, nil // for the base to complain about
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
	return nil, fmt.Errorf("waybillhttp: not sent to %s: %w; waybill.Reissue makes a fresh one", r.URL.Host, err)
}

// objection returns why the waybill must not go where the request goes, or "".
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

// outgoing returns the request to send: with the call's token if there is a call, and without what an application set by
// hand or copied. The request of the caller is not touched.
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

// ours reports whether a header is the module's, however an application spelled it: the wire does not tell cases apart.
func ours(key string) bool {
	return len(key) == len(headerKey) && strings.EqualFold(key, headerKey) ||
		len(key) == len(updateKey) && strings.EqualFold(key, updateKey)
}

// take removes the update from the response, and merges it if the request carried a waybill. That of a trailer follows at
// the end of the body.
func (t *Transport) take(r *http.Request, resp *http.Response, call *waybill.Call) {
	updates := resp.Header[updateKey]
	delete(resp.Header, updateKey)
	delete(resp.Trailer, updateKey) // announced
	t.merge(r, resp, call, updates)
	if mayHaveTrailer(resp) {
		resp.Body = &body{ReadCloser: resp.Body, t: t, req: r, resp: resp, call: call}
	}
}

func (t *Transport) merge(r *http.Request, resp *http.Response, call *waybill.Call, updates []string) {
	if call == nil || len(updates) == 0 {
		return
	}
	opts := t.accept
	if resp.StatusCode >= 400 || callFailed(resp) {
		opts = t.failed
	}
	// Several updates are none: joined, they are malformed.
	outcome, err := call.Return(strings.Join(updates, ","), opts...)
	t.rec.Returned(r.Context(), outcome, err)
}

// mayHaveTrailer reports whether a trailer can follow. The body of a switched protocol is a connection, and stays one.
func mayHaveTrailer(resp *http.Response) bool {
	return resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != nil && resp.Body != http.NoBody &&
		(resp.ContentLength < 0 || resp.ProtoMajor >= 2)
}
