package sticky

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

func newServer(t *testing.T, name string, in sessions) (*server, *httptest.Server) {
	nc := brokertest.JetStream(t).Conn()
	s := &server{env: &service.Env{Spec: fleet.Spec{Name: name}, NATS: nc, Watch: watch.NewReporter(nc, name, nil, nil)}}
	mux := http.NewServeMux()
	mux.Handle("POST "+Memory+"{step}", s.serve(in))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return s, srv
}

// ask takes a step and returns the status, the answer and the cookie.
func ask(t *testing.T, srv *httptest.Server, name, cookie string) (int, gateway.Answer, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, srv.URL+Memory+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: Cookie, Value: cookie})
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a gateway.Answer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		cookie = c.Value
	}
	return res.StatusCode, a, cookie
}

// TestSession books with one server, and asks another one in the middle of it.
func TestSession(t *testing.T) {
	one, other := memory{memstore.New()}, memory{memstore.New()}
	s, srv := newServer(t, "sticky-1", one)
	_, elsewhere := newServer(t, "sticky-2", other)
	status, a, cookie := ask(t, srv, "search?to=AMS&cell=eu", "")
	if status != 200 || len(a.Flights) != 3 || cookie != a.Journey {
		t.Fatalf("search: status %d, %+v, cookie %q", status, a, cookie)
	}
	for _, name := range []string{"flight?flight=AMS-101", "hotel?hotel=AMS-Grand&card=visa", "currency?currency=USD", "pay", "pay"} {
		if status, a, _ = ask(t, srv, name, cookie); status != 200 || a.State["to"] == nil {
			t.Fatalf("%s: status %d, %s", name, status, a.Error)
		}
	}
	receipt := string(a.State["paid"])
	if status, a, _ := ask(t, elsewhere, "ticket", cookie); status != http.StatusGone || a.State != nil {
		t.Errorf("another server: status %d, %v; want 410 and nothing", status, a.State)
	}
	if one.live() != 1 {
		t.Errorf("%d sessions are live, want 1", one.live())
	}
	s.draining.Store(true)
	if status, _, _ := ask(t, srv, "search?to=AMS&cell=eu", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a new session while the server drains: status %d, want 503", status)
	}
	var ticket string
	for range 2 { // as who did not hear the answer asks again
		status, a, _ := ask(t, srv, "ticket", cookie)
		if status != 200 || string(a.State["paid"]) != receipt || ticket != "" && ticket != string(a.State["ticket"]) {
			t.Errorf("ticket: status %d, %v, want receipt %s and ticket %s", status, a.State, receipt, ticket)
		}
		ticket = string(a.State["ticket"])
	}
	if one.live() != 0 {
		t.Errorf("%d sessions are live, want none: the server may end", one.live())
	}
	if status, _, _ := ask(t, srv, "fly", cookie); status != http.StatusNotFound {
		t.Errorf("an unknown step: status %d, want 404", status)
	}
}

// TestEmpty waits for sessions, and not for ever.
func TestEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := memory{memstore.NewWithCleanupInterval(0)}, context.Background()
		m.Save(ctx, "a", trip.State{})
		time.AfterFunc(time.Second, func() { m.Save(ctx, "a", trip.State{trip.Ticket.Name(): json.RawMessage(`"T1"`)}) })
		began := time.Now()
		m.empty(patience)
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("waited %v for a session of a second", took)
		}
		m.Save(ctx, "b", trip.State{})
		began = time.Now()
		m.empty(patience)
		if took := time.Since(began); took < patience || took > 2*patience {
			t.Errorf("waited %v for a session that does not end, want %v", took, patience)
		}
		time.Sleep(time.Hour)
		if _, err := m.Load(ctx, "b"); err == nil {
			t.Error("a session lives for an hour")
		}
	})
}
