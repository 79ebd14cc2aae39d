package waybilltest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
)

// Canary fails a test wherever a token shows up that should not: in a log, a span, a dump, or a request to
// a host that nobody approved. It finds the token of every journey, changed and returned ones included.
// Run a handler or a client as in production, with all of its instrumentation, and give the Canary to
// every place where output ends:
//
//	canary := waybilltest.NewCanary(t)
//	slog.SetDefault(slog.New(slog.NewJSONHandler(canary.Writer("the log"), nil)))
//	foreign := httptest.NewServer(canary.Handler("a foreign host"))
//
// A Canary is safe for concurrent use.
type Canary struct{ t testing.TB }

// NewCanary returns a Canary that reports to t.
func NewCanary(t testing.TB) *Canary { return &Canary{t} }

// compact matches what may be a token in compact serialization (RFC 7515, section 7.1, and RFC 7516,
// section 7.1).
var compact = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*`)

// maxToken is more than any token has, in bytes.
const maxToken = 8 << 10

// find returns a token in text, shortened, or "".
func find(text []byte) string {
	for _, m := range compact.FindAll(text, -1) {
		head, _, _ := bytes.Cut(m, []byte("."))
		for len(head) > 0 {
			if plain, err := base64.RawURLEncoding.DecodeString(string(head)); err == nil && bytes.Contains(plain, []byte("waybill+jwt")) {
				return string(head[:min(len(head), 24)]) + "…"
			}
			head = head[1:] // letters before the token look like part of it
		}
	}
	return ""
}

// Check fails the test if one of the values contains a token, printed with %v, %+v or %#v.
func (c *Canary) Check(where string, values ...any) {
	c.t.Helper()
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if token := find(fmt.Appendf(nil, verb, v)); token != "" {
				c.t.Errorf("%s shows a token (%s): anyone who reads it can continue the journey; redact the headers "+
					"waybill and waybill-update there", where, token)
				return
			}
		}
	}
}

// Writer returns a writer that fails the test if a token is written to it, in one piece or in several.
func (c *Canary) Writer(where string) io.Writer { return &canaryWriter{canary: c, where: where} }

type canaryWriter struct {
	canary *Canary
	where  string

	mu   sync.Mutex
	tail []byte
	sung bool
}

func (w *canaryWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.tail, p...)
	if token := find(text); token != "" && !w.sung {
		w.sung = true
		w.canary.t.Errorf("%s shows a token (%s): anyone who reads it can continue the journey; redact the headers "+
			"waybill and waybill-update there", w.where, token)
	}
	w.tail = append([]byte(nil), text[max(0, len(text)-maxToken):]...)
	return len(p), nil
}

// Handler returns a server that fails the test if a request brings a token, in its URL, headers, body or
// trailers. Use it for hosts that are not approved.
func (c *Canary) Handler(where string) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.Check(where, r.URL.String(), r.RequestURI, r.Header, string(body), r.Trailer)
	})
}
