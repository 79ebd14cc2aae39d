package broker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

// TestPause asks something over a line that is paused: the answer comes when the pause ends, and no connection is lost.
// What needs no answer goes on meanwhile.
func TestPause(t *testing.T) {
	dir := brokertest.Volumes(t)
	if err := keys.Init(dir); err != nil {
		t.Fatal(err)
	}
	url := brokertest.Start(t, dir)
	paused, other := brokertest.Join(t, url, dir, "cart"), brokertest.Join(t, url, dir, keys.OperatorName)
	for subject, nc := range map[string]*nats.Conn{"demo.paused": paused.Conn, "demo.other": other.Conn} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { m.Respond(m.Data) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	const pause = 500 * time.Millisecond
	began := time.Now()
	paused.Pause(pause)
	if _, err := other.Request("demo.other", nil, 30*time.Second); err != nil {
		t.Error(err)
	}
	if err := paused.Publish("demo.other", nil); err != nil || time.Since(began) > pause {
		t.Errorf("published after %v: %v, want at once", time.Since(began), err)
	}
	if _, err := other.Request("demo.paused", nil, 30*time.Second); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < pause {
		t.Errorf("answered after %v, though the line was paused for %v", took, pause)
	}
	if n := paused.Stats().Reconnects; n != 0 {
		t.Errorf("%d reconnects, want none", n)
	}
}

// TestStranger checks that nobody is let in who is not known.
func TestStranger(t *testing.T) {
	dir, elsewhere := brokertest.Volumes(t), brokertest.Volumes(t)
	for _, d := range []string{dir, elsewhere} {
		if err := keys.Init(d); err != nil {
			t.Fatal(err)
		}
	}
	if line, err := broker.Join(brokertest.Start(t, dir), filepath.Join(elsewhere, "cart"), "stranger"); err == nil {
		line.Close()
		t.Error("a stranger is connected")
	}
	if _, err := broker.Join("nats://127.0.0.1:1", os.TempDir(), "nobody"); err == nil {
		t.Error("connected without a seed")
	}
}
