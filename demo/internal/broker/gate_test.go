package broker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/broker"
)

// TestPause asks something through the gate while it is shut: the answer comes when it opens, and no connection is lost.
func TestPause(t *testing.T) {
	b, err := broker.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	inside, err := b.Connect("inside")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	outside, err := broker.Connect(b.URL(), b.Password(), "outside")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	for _, nc := range []*nats.Conn{inside, outside} {
		if _, err := nc.Subscribe("echo."+nc.Opts.Name, func(m *nats.Msg) { m.Respond(m.Data) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	const pause = 500 * time.Millisecond
	began := time.Now()
	b.Pause(pause)
	if !b.Paused() {
		t.Error("not paused")
	}
	if _, err := inside.Request("echo.inside", nil, 30*time.Second); err != nil {
		t.Error(err)
	}
	for _, nc := range []*nats.Conn{outside, inside} {
		if _, err := nc.Request("echo.outside", nil, 30*time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < pause {
			t.Errorf("from %s: answered after %v, though the gate was shut for %v", nc.Opts.Name, took, pause)
		}
	}
	if b.Paused() || outside.Stats().Reconnects != 0 {
		t.Errorf("paused %v, %d reconnects; want neither", b.Paused(), outside.Stats().Reconnects)
	}
}

// TestPassword checks that the gate lets nobody in who does not know it.
func TestPassword(t *testing.T) {
	b, err := broker.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if nc, err := broker.Connect(b.URL(), "guess", "stranger"); err == nil {
		nc.Close()
		t.Error("a stranger is connected")
	}
}
