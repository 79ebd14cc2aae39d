package waybillhttp_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// open sends a request in ctx and returns the response with its body open.
func open(t testing.TB, c *http.Client, r *http.Request) *http.Response {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// A change that follows a body arrives although the caller closes the body after it has decoded it:
// a decoder of JSON does not read to the end.
func TestCloseFindsALateChange(t *testing.T) {
	for _, p := range protocols {
		for _, zipped := range []bool{false, true} {
			t.Run(p.name+map[bool]string{true: "/gzip"}[zipped], func(t *testing.T) {
				auth, m := authority(t), &meter{}
				done := make(chan struct{})
				h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
					var to io.Writer = w
					if zipped {
						w.Header().Set("Content-Encoding", "gzip")
						z := gzip.NewWriter(w)
						defer z.Close()
						to = z
					}
					check(t, json.NewEncoder(to).Encode(strings.Repeat("x", 100_000)))
					w.(http.Flusher).Flush()
					check(t, waybill.Update(r.Context(), seats.To(5)))
				})
				s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					h.ServeHTTP(w, r)
				}))
				ctx := waybilltest.Context(t, auth)
				resp := open(t, client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)), request(t, ctx, "GET", s.URL))
				var v string
				check(t, json.NewDecoder(resp.Body).Decode(&v))
				<-done
				check(t, resp.Body.Close())
				if got := seatsOf(ctx); got != 5 || len(v) != 100_000 {
					t.Errorf("%d seats behind a body of %d bytes, want 5 and 100,000 (%v)", got, len(v), m.all())
				}
				check(t, waybill.Lost(ctx))
				check(t, resp.Body.Close())
				if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil {
					t.Errorf("a read after Close: %d, %v; want an error", n, err)
				}
				if m.count("waybill.return", "relayed") != 1 || m.count("waybill.return", "unread") != 0 {
					t.Errorf("counted %v, want relayed once", m.all())
				}
			})
		}
	}
}

// stall waits for the client to go. The response gets no end, not even while the client closes its
// connection.
func stall(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Close reads on within bounds. If the end is further away, a change that may follow is counted.
func TestCloseCountsWhatItDoesNotRead(t *testing.T) {
	for _, p := range protocols {
		for name, tt := range map[string]struct {
			write  func(http.ResponseWriter, *http.Request)
			sent   bool // the request carries a waybill
			unread int64
		}{
			"stalled": {stall, true, 1},
			"long": {func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						return
					}
				}
			}, true, 1},
			"read to its end": {func(http.ResponseWriter, *http.Request) {}, true, 0},
			"no waybill sent": {stall, false, 0},
		} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				auth, m := authority(t), &meter{}
				s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
					flushed(w)
					tt.write(w, r)
				}))
				ctx := t.Context()
				if tt.sent {
					ctx = waybilltest.Context(t, auth)
				}
				resp := open(t, client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)), request(t, ctx, "GET", s.URL))
				begun := time.Now()
				check(t, resp.Body.Close())
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("Close took %v", took)
				}
				if got := m.count("waybill.return", "unread"); got != tt.unread {
					t.Errorf("unread counted %d times, want %d", got, tt.unread)
				}
			})
		}
	}
}

// A body that may be stored has no trailer to wait for.
func TestCloseDoesNotWaitForACacheableBody(t *testing.T) {
	auth, m := authority(t), &meter{}
	s := serve(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=9")
		flushed(w)
		stall(w, r)
	}))
	resp := open(t, client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)),
		request(t, waybilltest.Context(t, auth), "GET", s.URL))
	check(t, resp.Body.Close())
	if got := m.count("waybill.return", "unread"); got != 0 {
		t.Errorf("unread counted %d times, want never", got)
	}
}

// Close interrupts a Read in progress.
func TestCloseInterruptsARead(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth, m := authority(t), &meter{}
			s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				flushed(w)
				stall(w, r)
			}))
			resp := open(t, client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)),
				request(t, waybilltest.Context(t, auth), "GET", s.URL))
			first, failed := make(chan struct{}), make(chan error)
			go func() {
				b := make([]byte, 2)
				io.ReadFull(resp.Body, b)
				close(first)
				_, err := io.ReadFull(resp.Body, b)
				failed <- err
			}()
			<-first
			resp.Body.Close()
			if err := <-failed; err == nil {
				t.Error("the Read in progress got no error")
			}
			if got := m.count("waybill.return", "unread"); got != 1 {
				t.Errorf("unread counted %d times (%v), want once", got, m.all())
			}
		})
	}
}
