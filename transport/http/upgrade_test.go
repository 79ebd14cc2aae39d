package waybillhttp_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Changes before a hijack are returned if the handler writes the header of UpgradeHeader. Every
// change that is not returned is counted.
func TestHijack(t *testing.T) {
	for _, tt := range []struct {
		name              string
		before, upgrade   bool
		back              bool
		tooLate, answered int64
	}{
		{"changed before", true, false, false, 2, 0},
		{"changed after", false, false, false, 1, 0},
		{"UpgradeHeader", true, true, true, 1, 1},
		{"UpgradeHeader without a change", false, true, false, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth, m, done := authority(t), &meter{}, make(chan struct{})
			h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
				header := http.Header{}
				if tt.before {
					check(t, waybill.Update(r.Context(), seats.To(4)))
				}
				if tt.upgrade {
					header = waybillhttp.UpgradeHeader(unwrapping{w})
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
				io.WriteString(buf, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n")
				header.Write(buf)
				io.WriteString(buf, "\r\nraw")
				buf.Flush()
			}, waybillhttp.MeterProvider(m))
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				h.ServeHTTP(w, r)
			}))
			a := present(t, s, issue(t, auth))
			<-done
			if a.body != "raw" {
				t.Errorf("got %q, want the raw response", a.body)
			}
			if tt.back {
				if n, _ := seats.Of(a.claims(t, auth)); n != 4 {
					t.Errorf("the returned token has %d seats, want 4", n)
				}
			} else if a.Header[returnKey] != nil {
				t.Errorf("header %v, want no returned token", a.Header)
			}
			if got := m.count("waybill.return", "too_late"); got != tt.tooLate {
				t.Errorf("too_late counted %d times, want %d", got, tt.tooLate)
			}
			if got := m.count("waybill.return", "answered"); got != tt.answered {
				t.Errorf("answered counted %d times, want %d", got, tt.answered)
			}
		})
	}
}

// A hijack through http.ResponseController goes through our writer, although the writer below has
// only Unwrap, or lacks Hijack among its methods.
func TestHijackBehindAPlainWrapper(t *testing.T) {
	for name, below := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"Unwrap": func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{w} },
		"Unwrap and Flush": func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				unwrapping
				http.Flusher
			}{unwrapping{w}, w.(http.Flusher)}
		},
		"Unwrap and Push": func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				unwrapping
				http.Pusher
			}{unwrapping{w}, nil}
		},
		"Unwrap, Flush and Push": func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				unwrapping
				http.Flusher
				http.Pusher
			}{unwrapping{w}, w.(http.Flusher), nil}
		},
	} {
		t.Run(name, func(t *testing.T) {
			auth, m, done := authority(t), &meter{}, make(chan struct{})
			h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), seats.To(4)))
				conn, buf, err := http.NewResponseController(unwrapping{w}).Hijack()
				if err != nil {
					t.Errorf("hijack: %v", err)
					return
				}
				defer conn.Close()
				io.WriteString(buf, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw")
				buf.Flush()
				if err := waybill.Update(r.Context(), seats.To(5)); !errors.Is(err, waybill.ErrTooLate) {
					t.Errorf("Update after the hijack: %v, want ErrTooLate", err)
				}
			}, waybillhttp.MeterProvider(m))
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				h.ServeHTTP(below(w), r)
			}))
			a := present(t, s, issue(t, auth))
			<-done
			if a.body != "raw" || m.count("waybill.return", "too_late") != 2 || m.count("waybill.return", "answered") != 0 {
				t.Errorf("got %q, counted %v; want the raw response and too_late twice", a.body, m.all())
			}
		})
	}
}

// A hijack that fails leaves an ordinary response.
func TestHijackThatFails(t *testing.T) {
	auth := authority(t)
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("hijack: %v, want ErrNotSupported", err)
		}
	})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(noHijack{w}, r) }))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
}

type noHijack struct{ http.ResponseWriter }

func (noHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// A handler finds an interface of the server's writer that ours does not have, as
// http.ResponseController finds its own.
func TestOtherInterfacesAreFoundByUnwrap(t *testing.T) {
	type streamer interface{ HTTPStream() string }
	ok := false
	h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		for {
			if s, is := w.(streamer); is {
				ok = s.HTTPStream() == "stream"
				return
			}
			u, is := w.(interface{ Unwrap() http.ResponseWriter })
			if !is {
				return
			}
			w = u.Unwrap()
		}
	})
	h.ServeHTTP(http3like{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
	if !ok {
		t.Error("the interface was not found")
	}
}

type http3like struct{ http.ResponseWriter }

func (http3like) HTTPStream() string { return "stream" }

// UpgradeHeader holds no token that exceeds the budget.
func TestUpgradeHeaderHasABudget(t *testing.T) {
	auth, m := authority(t), &meter{}
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		if h := waybillhttp.UpgradeHeader(w); len(h) != 0 {
			t.Errorf("got %v, want no token", h)
		}
	}, waybillhttp.MeterProvider(m), waybillhttp.HeaderBudget(300), waybillhttp.Logger(nolog))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(headerKey, issue(t, auth))
	h.ServeHTTP(httptest.NewRecorder(), r)
	if m.count("waybill.return", "too_large") != 1 {
		t.Errorf("counted %v, want too_large once", m.all())
	}
}

// An upgrade that fails is an ordinary response, which returns the token once.
func TestUpgradeThatFails(t *testing.T) {
	auth, m := authority(t), &meter{}
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4), coupon.To("used")))
		waybillhttp.UpgradeHeader(w)
		http.Error(w, "not a WebSocket", http.StatusBadRequest)
	}, waybillhttp.MeterProvider(m)))
	wb := present(t, s, issue(t, auth)).claims(t, auth)
	if n, _ := seats.Of(wb); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
	if _, ok := coupon.Of(wb); ok {
		t.Error("the OnSuccess claim went back with a failure")
	}
	if got := m.count("waybill.return", "answered"); got != 1 {
		t.Errorf("counted %v, want answered once", m.all())
	}
}

// So is an upgrade that the handler leaves out.
func TestUpgradeThatIsLeftOut(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		waybillhttp.UpgradeHeader(w)
		io.WriteString(w, "body")
	}))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
}

// For a writer that is not ours, and after the header, there is no token to return.
func TestUpgradeHeaderOfNothing(t *testing.T) {
	if h := waybillhttp.UpgradeHeader(httptest.NewRecorder()); h == nil || len(h) != 0 {
		t.Errorf("got %v, want an empty header", h)
	}
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
		flushed(w)
		if h := waybillhttp.UpgradeHeader(w); len(h) != 0 {
			t.Errorf("got %v behind the header, want nothing", h)
		}
	}))
	present(t, s, issue(t, auth))
}

// An edge renews the waybill of a client that upgrades.
func TestUpgradeAtTheEdge(t *testing.T) {
	auth := authority(t)
	s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		header := waybillhttp.UpgradeHeader(w)
		wb, err := auth.Open(header.Get(waybill.HeaderReturn))
		if got, _ := cell.Of(wb); got != "eu-3" {
			t.Errorf("the new journey's cell is %q, %v; want eu-3", got, err)
		}
		if header.Get("Cache-Control") != "no-store" {
			t.Errorf("header %v, want no-store", header)
		}
	}, waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) { return []waybill.Change{cell.To("eu-3")}, nil })))
	present(t, s, "")
}

// An upgrade that writes its status to the writer returns the token with it.
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
