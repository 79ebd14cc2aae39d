package waybillhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// interfaces lists what a ResponseWriter claims to be.
func interfaces(w http.ResponseWriter) string {
	var all []string
	for name, ok := range map[string]func() bool{
		"Flusher":    func() bool { _, ok := w.(http.Flusher); return ok },
		"Hijacker":   func() bool { _, ok := w.(http.Hijacker); return ok },
		"Pusher":     func() bool { _, ok := w.(http.Pusher); return ok },
		"ReaderFrom": func() bool { _, ok := w.(io.ReaderFrom); return ok },
	} {
		if ok() {
			all = append(all, name)
		}
	}
	return strings.Join(sorted(all), " ")
}

func TestWriterClaimsWhatItWraps(t *testing.T) {
	auth := authority(t)
	timeout := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") }
	bare := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}
	same := func(h http.Handler) http.Handler { return h }
	for _, p := range protocols {
		for name, outer := range map[string]func(http.Handler) http.Handler{"server": same, "TimeoutHandler": timeout, "bare": bare} {
			t.Run(p.name+" "+name, func(t *testing.T) {
				var plain, wrapped string
				s := p.start(t, outer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					plain = interfaces(w)
					handle(auth, func(w http.ResponseWriter, r *http.Request) { wrapped = interfaces(w) }).ServeHTTP(w, r)
				})))
				get(t, t.Context(), s.Client(), s.URL)
				s.Close()
				if plain != wrapped {
					t.Errorf("the handler's writer is %q, want what it wraps: %q", wrapped, plain)
				}
			})
		}
	}
	t.Run("recorder", func(t *testing.T) {
		handle(auth, func(w http.ResponseWriter, r *http.Request) {
			if got := interfaces(w); got != "Flusher" {
				t.Errorf("the handler's writer is %q, want Flusher", got)
			}
		}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
}

func sorted(s []string) []string {
	for i := range s {
		for j := range i {
			if s[i] < s[j] {
				s[i], s[j] = s[j], s[i]
			}
		}
	}
	return s
}

// onlyReader hides every other method, so that io.Copy uses the writer's ReadFrom.
type onlyReader struct{ io.Reader }

func TestUpdateWhateverWritesFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		status int
		body   string
		write  func(*testing.T, http.ResponseWriter, *http.Request)
	}{
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
		{"ResponseController.Flush", "GET", 200, "body", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
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
		{"no content", "GET", 204, "", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{"not modified", "GET", 304, "", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			r.Header.Set("If-None-Match", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("body"))
		}},
		{"ServeContent", "GET", 200, "body", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("body"))
		}},
		{"HEAD", "HEAD", 200, "", func(_ *testing.T, w http.ResponseWriter, r *http.Request) { io.WriteString(w, "body") }},
		{"HEAD, nothing", "HEAD", 200, "", func(*testing.T, http.ResponseWriter, *http.Request) {}},
		{"early hints", "GET", 200, "body", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.Header().Set(updateKey, "copied from elsewhere")
			w.WriteHeader(103)
			io.WriteString(w, "body")
		}},
	} {
		for _, p := range protocols {
			for _, te := range []string{"", "trailers"} {
				t.Run(tt.name+" "+p.name+" "+te, func(t *testing.T) {
					auth := authority(t)
					s := p.start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
						check(t, waybill.Update(r.Context(), seats.To(4)))
						tt.write(t, w, r)
					}))
					hints := 0
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
						Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
							hints++
							if header[updateKey] != nil {
								t.Errorf("the %d response carries an update, want the final one only", code)
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
						t.Errorf("the update has %d seats, want 4", n)
					}
					if a.Trailer[updateKey] != nil {
						t.Error("the update is in the trailer too")
					}
					if want := strings.Count(tt.name, "hints"); hints != want {
						t.Errorf("%d responses of 1xx, want %d", hints, want)
					}
				})
			}
		}
	}
}

func TestCopiedUpdateIsReplacedOrRemoved(t *testing.T) {
	for _, p := range protocols {
		for _, changes := range []bool{false, true} {
			for _, writes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s changes=%v writes=%v", p.name, changes, writes), func(t *testing.T) {
					auth := authority(t)
					copied := issue(t, auth, seats.To(99))
					s := p.start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Trailer", updateKey)
						w.Header().Add(updateKey, copied)
						w.Header().Add(updateKey, copied)
						if changes {
							check(t, waybill.Update(r.Context(), seats.To(4)))
						}
						if writes {
							io.WriteString(w, "body")
							w.(http.Flusher).Flush()
						}
						w.Header().Set(updateKey, copied)
						w.Header().Set(http.TrailerPrefix+updateKey, copied)
					}))
					a := present(t, s, issue(t, auth))
					if updates := a.Trailer[updateKey]; len(updates) > 0 {
						t.Errorf("the trailer has an update, want none: nothing changed after the header")
					}
					if !changes {
						if a.Header[updateKey] != nil {
							t.Errorf("the header has an update, want none")
						}
						return
					}
					if n, _ := seats.Of(a.claims(t, auth)); n != 4 {
						t.Errorf("the update has %d seats, want the handler's 4", n)
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
		t.Errorf("Cache-Control %q beside an update, want no-store", got)
	}
}

func TestHijack(t *testing.T) {
	for name, before := range map[string]bool{"changed before": true, "changed after": false} {
		t.Run(name, func(t *testing.T) {
			auth, m := authority(t), &meter{}
			s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				if before {
					check(t, waybill.Update(r.Context(), seats.To(4)))
				}
				conn, buf, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Errorf("hijack: %v", err)
					return
				}
				defer conn.Close()
				if err := waybill.Update(r.Context(), seats.To(5)); !errors.Is(err, waybill.ErrTooLate) {
					t.Errorf("Update after the hijack: %v, want ErrTooLate", err)
				}
				io.WriteString(buf, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw")
				buf.Flush()
			}, waybillhttp.MeterProvider(m)))
			a := present(t, s, issue(t, auth))
			if a.body != "raw" || a.Header[updateKey] != nil {
				t.Errorf("got %q, header %v; want the raw response", a.body, a.Header)
			}
			s.Close()
			if got, want := m.count("waybill.update", "too_late"), map[bool]int64{true: 1}[before]; got != want {
				t.Errorf("too_late counted %d times, want %d", got, want)
			}
		})
	}
}

// An upgrade that writes its status in the ordinary way sends the update with it.
func TestUpgrade(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		line, _ := buf.ReadString('\n')
		io.WriteString(conn, line)
	}))
	caller := authority(t)
	ctx, err := caller.Start(t.Context())
	check(t, err)
	r := request(t, ctx, "GET", s.URL)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := client(t, caller, []*httptest.Server{s}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != 101 || !ok {
		t.Fatalf("got %d and a body of type %T, want 101 and one to write to", resp.StatusCode, resp.Body)
	}
	io.WriteString(conn, "hello\n")
	if line, _ := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("echo %q, want hello", line)
	}
	if got := seatsOf(ctx); got != 4 {
		t.Errorf("%d seats after the upgrade, want 4", got)
	}
}

// spy is a ResponseWriter that tells whether its ReadFrom was used: then net/http can use sendfile.
type spy struct {
	http.ResponseWriter
	used *bool
}

func (s spy) ReadFrom(r io.Reader) (int64, error) {
	*s.used = true
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

func (s spy) Flush() { s.ResponseWriter.(http.Flusher).Flush() }

func (s spy) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return s.ResponseWriter.(http.Hijacker).Hijack()
}

func TestReadFromReachesTheServer(t *testing.T) {
	used := false
	h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, onlyReader{strings.NewReader("body")})
	})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(spy{w, &used}, r) }))
	if a := get(t, t.Context(), s.Client(), s.URL); a.body != "body" {
		t.Errorf("body %q, want body", a.body)
	}
	s.Close()
	if !used {
		t.Error("ReadFrom of the server's writer was not used")
	}
}

// plain is a ResponseWriter that can be flushed and hijacked, and has no ReadFrom.
type plain struct {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
}

func TestReadFromWithoutReadFrom(t *testing.T) {
	h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(w, onlyReader{strings.NewReader("body")})
		if n != 4 || err != nil {
			t.Errorf("copied %d, %v; want 4", n, err)
		}
	})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(plain{w, w.(http.Flusher), w.(http.Hijacker)}, r)
	}))
	if a := get(t, t.Context(), s.Client(), s.URL); a.body != "body" {
		t.Errorf("body %q, want body", a.body)
	}
}

// Go's client takes no pushes, so the server's own answer is what must come through.
func TestPush(t *testing.T) {
	for name, outer := range map[string]func(http.Handler) http.Handler{
		"server":         func(h http.Handler) http.Handler { return h },
		"TimeoutHandler": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serveHTTP2(t, outer(handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				if err := w.(http.Pusher).Push("/style.css", nil); !errors.Is(err, http.ErrNotSupported) {
					t.Errorf("Push: %v, want the server's ErrNotSupported", err)
				}
			})))
			get(t, t.Context(), s.Client(), s.URL)
		})
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
	h.ServeHTTP(broken{httptest.NewRecorder()}, r)
	if got := m.count("waybill.update", "too_late"); got != 1 {
		t.Errorf("counted %v, want too_late once", m.all())
	}
}

func TestFlushBehindAPlainWrapper(t *testing.T) {
	auth := authority(t)
	// unwrapping is a wrapper of the modern kind: only http.ResponseController reaches what it wraps.
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		check(t, http.NewResponseController(w).Flush())
	})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) }))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the update has %d seats, want 4", n)
	}
}

type unwrapping struct{ w http.ResponseWriter }

func (u unwrapping) Header() http.Header         { return u.w.Header() }
func (u unwrapping) Write(b []byte) (int, error) { return u.w.Write(b) }
func (u unwrapping) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapping) Unwrap() http.ResponseWriter { return u.w }

func TestFlushNotSupported(t *testing.T) {
	auth := authority(t)
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v, want ErrNotSupported", err)
		}
		check(t, waybill.Update(r.Context(), seats.To(4))) // nothing was written
	})
	s := serve(t, http.TimeoutHandler(h, time.Minute, ""))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the update has %d seats, want 4", n)
	}
}

func TestTimeoutHandler(t *testing.T) {
	auth := authority(t)
	for _, p := range protocols {
		for name, slow := range map[string]bool{"in time": false, "too slow": true} {
			for _, outside := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s outside=%v", p.name, name, outside), func(t *testing.T) {
					answered, late := make(chan struct{}), make(chan error, 1)
					var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						check(t, waybill.Update(r.Context(), seats.To(4), coupon.To("used")))
						if !slow {
							io.WriteString(w, "body")
							return
						}
						<-answered
						_, err := io.WriteString(w, "body")
						late <- err
					})
					limit := time.Minute
					if slow {
						limit = time.Millisecond
					}
					middleware := waybillhttp.Middleware(auth)
					if outside {
						h = http.TimeoutHandler(middleware(h), limit, "timeout")
					} else {
						h = middleware(http.TimeoutHandler(h, limit, "timeout"))
					}
					a := present(t, p.start(t, h), issue(t, auth))
					close(answered)
					switch {
					case !slow:
						if n, _ := seats.Of(a.claims(t, auth)); n != 4 || a.body != "body" {
							t.Errorf("got %q and an update with %d seats, want body and 4", a.body, n)
						}
					case a.StatusCode != 503 || a.body != "timeout":
						t.Errorf("got %d %q, want 503 timeout", a.StatusCode, a.body)
					case outside:
						if a.Header[updateKey] != nil {
							t.Error("an update behind a timeout, want none: the handler has not answered")
						}
					default:
						wb := a.claims(t, auth)
						if _, ok := coupon.Of(wb); ok {
							t.Error("the OnSuccess claim went back with a timeout")
						}
					}
					if slow {
						if err := <-late; !errors.Is(err, http.ErrHandlerTimeout) {
							t.Errorf("the handler's write: %v, want ErrHandlerTimeout", err)
						}
					}
				})
			}
		}
	}
}

// The handler that a TimeoutHandler gave up on works in a scope that has ended.
func TestUpdateAfterTheTimeout(t *testing.T) {
	auth := authority(t)
	answered, late := make(chan struct{}), make(chan error, 1)
	s := serve(t, handle(auth, http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answered
		late <- waybill.Update(context.WithoutCancel(r.Context()), seats.To(4))
	}), time.Millisecond, "timeout").ServeHTTP))
	present(t, s, issue(t, auth))
	close(answered)
	if err := <-late; !errors.Is(err, waybill.ErrTooLate) && !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("Update after the timeout: %v, want ErrTooLate or ErrCommitted", err)
	}
}
