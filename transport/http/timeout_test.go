package waybillhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

func TestFlushNotSupported(t *testing.T) {
	auth := authority(t)
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v, want ErrNotSupported", err)
		}
		check(t, waybill.Update(r.Context(), seats.To(4))) // before anything was written
	})
	s := serve(t, http.TimeoutHandler(h, time.Minute, ""))
	if n, _ := seats.Of(present(t, s, issue(t, auth)).claims(t, auth)); n != 4 {
		t.Errorf("the returned token has %d seats, want 4", n)
	}
}

func TestTimeoutHandler(t *testing.T) {
	for _, p := range protocols {
		for name, slow := range map[string]bool{"in time": false, "too slow": true} {
			for _, outside := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/outside=%v", p.name, name, outside), func(t *testing.T) {
					if !slow {
						timeout{p.start, false, outside}.run(t, time.Minute)
						return
					}
					// On a busy machine the time is over before the handler has changed a claim: give it more.
					for limit := time.Millisecond; !(timeout{p.start, true, outside}).run(t, limit); limit *= 4 {
						if limit > time.Minute {
							t.Fatalf("the handler did not run within %v", limit)
						}
					}
				})
			}
		}
	}
}

// timeout is a request to a handler that may be slower than its [http.TimeoutHandler] allows.
type timeout struct {
	start         func(testing.TB, http.Handler) *httptest.Server
	slow, outside bool
}

// run sends the request, and reports whether the handler changed claims within the limit.
func (o timeout) run(t *testing.T, limit time.Duration) bool {
	auth := authority(t)
	answered, changed, late := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changed <- waybill.Update(r.Context(), seats.To(4), coupon.To("used"))
		if !o.slow {
			io.WriteString(w, "body")
			return
		}
		<-answered
		_, err := io.WriteString(w, "body")
		late <- err
	})
	middleware := must(waybillhttp.NewServer(auth)).Middleware
	if o.outside {
		h = http.TimeoutHandler(middleware(h), limit, "timeout")
	} else {
		h = middleware(http.TimeoutHandler(h, limit, "timeout"))
	}
	a := present(t, o.start(t, h), issue(t, auth))
	close(answered)
	if err := <-changed; err != nil {
		<-late
		return false
	}
	switch {
	case !o.slow:
		if n, _ := seats.Of(a.claims(t, auth)); n != 4 || a.body != "body" {
			t.Errorf("got %q and a returned token with %d seats, want body and 4", a.body, n)
		}
	case a.StatusCode != 503 || a.body != "timeout":
		t.Errorf("got %d %q, want 503 timeout", a.StatusCode, a.body)
	case o.outside:
		if a.Header[returnKey] != nil {
			t.Error("a returned token behind a timeout, want none: the handler has not answered")
		}
	default:
		wb := a.claims(t, auth)
		if _, ok := coupon.Of(wb); ok {
			t.Error("the OnSuccess claim went back with a timeout")
		}
	}
	if o.slow {
		if err := <-late; !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("the handler's write: %v, want ErrHandlerTimeout", err)
		}
	}
	return true
}

// A handler that timed out works in a hop that has ended.
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
