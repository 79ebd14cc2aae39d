package natstest

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/nats-io/nats.go"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// Values with their own loggers are garbage when they are dropped: nothing in the process refers to
// them.
func TestNothingStays(t *testing.T) {
	const values = 1000
	nc, js, raw := newAcceptor(t)
	check(t, raw.Unsubscribe())
	auth := waybilltest.Authority(t, claims)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	msg := &nats.Msg{Subject: "sent.any"}
	for _, c := range []struct {
		name string
		use  func(*slog.Logger)
	}{
		{"Conn", func(l *slog.Logger) {
			conn := newConn(t, auth, nc, waybillnats.OnlySubjects("other"), waybillnats.Logger(l))
			check(t, conn.Publish(ctx, msg)) // logs that the waybill is not sent
			conn.Handler(func(context.Context, *waybillnats.Msg) {})
		}},
		{"JetStream", func(l *slog.Logger) {
			stream := newStream(t, auth, js, waybilljetstream.OnlySubjects("other"), waybilljetstream.Logger(l))
			_, err := stream.Publish(ctx, msg)
			check(t, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var loggers []weak.Pointer[slog.Logger]
			for range values {
				loggers = append(loggers, used(t, c.use))
			}
			var left int
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				runtime.GC()
				left = 0
				for _, l := range loggers {
					if l.Value() != nil {
						left++
					}
				}
				if left == 0 {
					return
				}
			}
			t.Errorf("%d of %d loggers stay after their values were dropped, want none", left, values)
		})
	}
}

// used passes a new logger to use. It returns when nothing but the weak pointer refers to the
// logger here.
//
//go:noinline
func used(t *testing.T, use func(*slog.Logger)) weak.Pointer[slog.Logger] {
	t.Helper()
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, nil))
	use(l)
	if log.Len() == 0 {
		t.Fatal("the logger was not used")
	}
	return weak.Make(l)
}
