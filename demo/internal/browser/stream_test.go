package browser

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// wire is a connection to the demo that can be cut.
type wire struct {
	addr, to string

	mu    sync.Mutex
	lis   net.Listener
	conns []net.Conn
}

func (w *wire) join(t *testing.T) {
	t.Helper()
	lis, err := net.Listen("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.lis, w.addr = lis, lis.Addr().String()
	w.mu.Unlock()
	go func() {
		for {
			here, err := lis.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", w.to)
			if err != nil {
				here.Close()
				return
			}
			w.mu.Lock()
			w.conns = append(w.conns, here, there)
			w.mu.Unlock()
			go io.Copy(there, here)
			go func() { io.Copy(here, there); here.Close() }()
		}
	}()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lis.Close()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// TestLostStream cuts the page off: it says so, and comes back by itself.
func TestLostStream(t *testing.T) {
	browser := browse(t)
	d := start(t)
	w := &wire{addr: "127.0.0.1:0", to: strings.TrimPrefix(d.url, "http://")}
	w.join(t)
	tb := open(t, browser, "http://"+w.addr, desk, "light")
	tb.quiet()
	w.cut()
	tb.await("the page says that it is cut off", `document.getElementById("connection").dataset.state === "lost"`)
	if said := tb.text("#connection"); !strings.Contains(said, "trying again") {
		t.Errorf("the page says %q", said)
	}
	tb.shoot("cut-off")
	w.join(t)
	defer w.cut()
	tb.await("the page is back", `document.getElementById("connection").dataset.state === "live"`)
	before := tb.text("#uptime")
	tb.await("the clock goes on", `document.getElementById("uptime").textContent !== "`+before+`"`)
}
