package waybillhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// onlyReader hides every other method, so that io.Copy uses the writer's ReadFrom.
type onlyReader struct{ io.Reader }

// writing is a way to write a response.
type writing struct {
	name   string
	method string
	status int
	body   string
	write  func(*testing.T, http.ResponseWriter, *http.Request)
}

var writes = []writing{
	{"nothing", "GET", 200, "", func(*testing.T, http.ResponseWriter, *http.Request) {}},
	{"Write", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte("body"))
		check(t, err)
	}},
	{"WriteString", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(io.StringWriter); !ok {
			t.Error("the writer is no io.StringWriter")
		}
		_, err := io.WriteString(w, "body")
		check(t, err)
	}},
	{"ReadFrom", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, onlyReader{strings.NewReader("body")})
		check(t, err)
	}},
	{"Flush", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "body")
	}},
	{"ResponseController", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		check(t, http.NewResponseController(w).Flush())
		io.WriteString(w, "body")
	}},
	{"deadline, then Write", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
		check(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)))
		io.WriteString(w, "body")
	}},
	{"WriteHeader", "GET", 202, "", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }},
	{"WriteHeader twice", "GET", 202, "", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(202)
		w.WriteHeader(500)
	}},
	{"Error", "GET", 418, "no\n", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }},
	{"204", "GET", 204, "", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
	{"304", "GET", 304, "", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		r.Header.Set("If-None-Match", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("body"))
	}},
	{"ServeContent", "GET", 200, "body", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("body"))
	}},
	{"HEAD", "HEAD", 200, "", func(_ *testing.T, w http.ResponseWriter, r *http.Request) { io.WriteString(w, "body") }},
	{"HEAD, nothing", "HEAD", 200, "", func(*testing.T, http.ResponseWriter, *http.Request) {}},
	{"103", "GET", 200, "body", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.Header().Set(returnKey, "copied from elsewhere")
		w.WriteHeader(103)
		io.WriteString(w, "body")
	}},
}

func TestUpdateInHeader(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			for _, tt := range writes {
				t.Run(tt.name, func(t *testing.T) {
					for _, te := range []string{"", "trailers"} {
						t.Run("te="+te, func(t *testing.T) { tt.run(t, p.start, te) })
					}
				})
			}
		})
	}
}

// run changes a claim before the response starts.
func (tt writing) run(t *testing.T, start func(testing.TB, http.Handler) *httptest.Server, te string) {
	auth := authority(t)
	s := start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		tt.write(t, w, r)
	}))
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints++
			if header[returnKey] != nil {
				t.Errorf("the %d response carries a returned token, want the final one only", code)
			}
			return nil
		},
	})
	r := request(t, ctx, tt.method, s.URL)
	r.Header.Set(headerKey, issue(t, auth))
	if te != "" {
		r.Header.Set("Te", te)
	}
	a := do(t, s.Client(), r)
	if a.StatusCode != tt.status || a.body != tt.body {
		t.Errorf("got %d %q, want %d %q", a.StatusCode, a.body, tt.status, tt.body)
	}
	if n, _ := seats.Of(a.claims(t, auth)); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
	if a.Trailer[returnKey] != nil {
		t.Error("the returned token is in the trailer too")
	}
	if want := strings.Count(tt.name, "103"); hints != want {
		t.Errorf("%d responses of 1xx, want %d", hints, want)
	}
}

func TestCopiedUpdateIsReplacedOrRemoved(t *testing.T) {
	for _, p := range protocols {
		for _, changes := range []bool{false, true} {
			for _, writes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/changes=%v writes=%v", p.name, changes, writes), func(t *testing.T) {
					auth := authority(t)
					copied := issue(t, auth, seats.To(99))
					s := p.start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Trailer", returnKey)
						w.Header().Add(returnKey, copied)
						w.Header().Add(returnKey, copied)
						if changes {
							check(t, waybill.Update(r.Context(), seats.To(4)))
						}
						if writes {
							io.WriteString(w, "body")
							w.(http.Flusher).Flush()
						}
						w.Header().Set(returnKey, copied)
						w.Header().Set(http.TrailerPrefix+returnKey, copied)
					}))
					a := present(t, s, issue(t, auth))
					if updates := a.Trailer[returnKey]; len(updates) > 0 {
						t.Errorf("the trailer has a returned token, want none: nothing changed after the header")
					}
					if !changes {
						if a.Header[returnKey] != nil {
							t.Errorf("the header has a returned token, want none")
						}
						return
					}
					if n, _ := seats.Of(a.claims(t, auth)); n != 4 {
						t.Errorf("the returned token has %d seats, want the handler's 4", n)
					}
				})
			}
		}
	}
}

func TestNoStoreReplacesCacheControl(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		w.Header().Set("Cache-Control", "public, max-age=60")
	}))
	if got := present(t, s, issue(t, auth)).Header["Cache-Control"]; len(got) != 1 || got[0] != "no-store" {
		t.Errorf("Cache-Control %q next to a returned token, want no-store", got)
	}
}

// broken is a ResponseWriter whose connection fails.
type broken struct{ *httptest.ResponseRecorder }

func (broken) FlushError() error { return io.ErrClosedPipe }

func TestTrailerThatCannotBeSent(t *testing.T) {
	auth, m := authority(t), &meter{}
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		check(t, waybill.Update(r.Context(), seats.To(4)))
	}, waybillhttp.MeterProvider(m))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(headerKey, issue(t, auth))
	r.Header.Set("Te", "trailers")
	r.Header.Set(hopKey, "1")
	h.ServeHTTP(broken{httptest.NewRecorder()}, r)
	if got := m.count("waybill.return", "too_late"); got != 1 {
		t.Errorf("counted %v, want too_late once", m.all())
	}
}

func TestFlushBehindAPlainWrapper(t *testing.T) {
	auth := authority(t)
	// unwrapping has no method but Unwrap: only http.ResponseController reaches the wrapped writer.
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		check(t, http.NewResponseController(w).Flush())
	})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) }))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
}

type unwrapping struct{ w http.ResponseWriter }

func (u unwrapping) Header() http.Header { return u.w.Header() }

func (u unwrapping) Write(b []byte) (int, error) { return u.w.Write(b) }

func (u unwrapping) WriteHeader(status int) { u.w.WriteHeader(status) }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.w }
