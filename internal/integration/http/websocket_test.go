package integrationhttp

import (
	"context"
	"net/http"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// An upgrade to WebSocket returns the token in its response. One package writes the status 101 to
// the writer, the other hijacks and writes the header that it is given.
func TestWebSocket(t *testing.T) {
	for name, echo := range map[string]func(testing.TB, http.ResponseWriter, *http.Request){"coder": echoCoder, "gorilla": echoGorilla} {
		for _, layers := range []string{"waybill", "otelhttp > waybill", "waybill > otelhttp"} {
			t.Run(name+"/"+layers, func(t *testing.T) {
				k := newKit(t)
				s := serve(t, false, k.chain(t, layers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					check(t, waybill.Update(r.Context(), seats.To(4)))
					echo(t, w, r)
				})))
				ctx := waybilltest.Context(t, k.auth, cell.To("eu-3"))
				conn, resp, err := coder.Dial(ctx, s.URL, &coder.DialOptions{HTTPClient: &http.Client{Transport: k.sending(base(t, s), s)}})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.CloseNow()
				if got, _ := seats.Get(ctx); got != 4 || resp.Header.Get(waybill.HeaderReturn) != "" {
					t.Errorf("%d seats after the handshake, want 4 (lost: %v), and no returned token in the header", got, waybill.Lost(ctx))
				}
				check(t, conn.Write(ctx, coder.MessageText, []byte("hello")))
				if _, got, err := conn.Read(ctx); string(got) != "hello" {
					t.Errorf("echo %q, %v; want hello", got, err)
				}
			})
		}
	}
}

func echoCoder(t testing.TB, w http.ResponseWriter, r *http.Request) {
	conn, err := coder.Accept(w, r, nil)
	if err != nil {
		t.Errorf("accept: %v", err)
		return
	}
	defer conn.CloseNow()
	kind, message, err := conn.Read(context.WithoutCancel(r.Context()))
	check(t, err)
	check(t, conn.Write(context.WithoutCancel(r.Context()), kind, message))
}

func echoGorilla(t testing.TB, w http.ResponseWriter, r *http.Request) {
	upgrader := gorilla.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, waybillhttp.UpgradeHeader(w))
	if err != nil {
		t.Errorf("upgrade: %v", err)
		return
	}
	defer conn.Close()
	kind, message, err := conn.ReadMessage()
	check(t, err)
	check(t, conn.WriteMessage(kind, message))
}
