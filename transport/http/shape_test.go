package waybillhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
)

// interfaces lists the optional interfaces of a ResponseWriter.
func interfaces(w http.ResponseWriter) string {
	var all []string
	for name, ok := range map[string]func() bool{
		"CloseNotifier": func() bool { _, ok := w.(http.CloseNotifier); return ok }, //lint:ignore SA1019 gin asserts it
		"Flusher":       func() bool { _, ok := w.(http.Flusher); return ok },
		"Hijacker":      func() bool { _, ok := w.(http.Hijacker); return ok },
		"Pusher":        func() bool { _, ok := w.(http.Pusher); return ok },
		"ReaderFrom":    func() bool { _, ok := w.(io.ReaderFrom); return ok },
	} {
		if ok() {
			all = append(all, name)
		}
	}
	return strings.Join(slices.Sorted(slices.Values(all)), " ")
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
			t.Run(p.name+"/"+name, func(t *testing.T) {
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

// A file reaches the server's connection as a file, which net/http needs for sendfile.
func TestSendfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.bin")
	check(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	for name, h := range map[string]http.Handler{
		"bare": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }),
		"middleware": handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
			check(t, waybill.Update(r.Context(), seats.To(4)))
			http.ServeFile(w, r, path)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			files := make(chan bool, 8)
			s := httptest.NewUnstartedServer(h)
			s.Listener = watched{s.Listener, files}
			s.Start()
			t.Cleanup(s.Close)
			if a := present(t, s, issue(t, authority(t))); len(a.body) != 1<<20 {
				t.Errorf("%d bytes, want the file", len(a.body))
			}
			s.Close()
			close(files)
			seen := 0
			for isFile := range files {
				if isFile {
					seen++
				}
			}
			if seen != 1 {
				t.Errorf("the connection got %d files to send, want 1", seen)
			}
		})
	}
}

// watched is a listener whose connections report whether they read from a file.
type watched struct {
	net.Listener
	files chan<- bool
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return watchedConn{c, l.files}, err
}

type watchedConn struct {
	net.Conn
	files chan<- bool
}

func (c watchedConn) ReadFrom(r io.Reader) (int64, error) {
	src := r
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, isFile := src.(*os.File)
	c.files <- isFile
	return c.Conn.(io.ReaderFrom).ReadFrom(r)
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

// Go's client accepts no pushes, so the handler must see the error of the server.
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

// gin's Stream asserts the deprecated interface without a check.
func TestCloseNotify(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			gone := make(chan bool, 1)
			s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				defer close(gone)
				flushed(w)
				gone <- <-w.(http.CloseNotifier).CloseNotify() //lint:ignore SA1019 see above
			}))
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := s.Client().Do(request(t, ctx, "GET", s.URL))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			cancel()
			if !<-gone {
				t.Error("the channel was closed, want it to tell that the client is gone")
			}
		})
	}
}

func TestCloseNotifyWithoutCloseNotify(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		gone := w.(http.CloseNotifier).CloseNotify() //lint:ignore SA1019 see above
		select {
		case <-gone:
			t.Error("the client is gone, want it to be there still")
		default:
		}
		cancel()
		<-gone
	}).ServeHTTP(plain{httptest.NewRecorder(), nil, nil}, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
}
