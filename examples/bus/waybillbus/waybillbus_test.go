package waybillbus_test

import (
	"context"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/examples/bus"
	"github.com/waybill-go/waybill/examples/bus/waybillbus"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestCarrier(t *testing.T) {
	open := func(auth *waybill.Authority, b *bus.Conn) *waybillbus.Conn {
		c, err := waybillbus.New(auth, b)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	serve := func(s waybilltest.Service) *bus.Conn { // the server side
		b := bus.New()
		b.Subscribe(s.Context, "subject", open(s.Auth, b).Handler(
			func(ctx context.Context, m *bus.Message) (*bus.Message, error) {
				return nil, s.Handle(ctx, m.Header)
			}))
		return b
	}
	waybilltest.CheckCarrier(t, waybilltest.Carrier{
		Call: func(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
			answer, err := open(auth, serve(s)).Request(ctx, "subject", &bus.Message{})
			return answer.Header, err
		},
		Raw: func(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
			answer, err := serve(s).Request(context.Background(), "subject", &bus.Message{Header: h})
			return answer.Header, err
		},
		Answer: func(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
			b := bus.New()
			b.Subscribe(ctx, "subject", func(_ context.Context, m *bus.Message) (*bus.Message, error) {
				return &bus.Message{Header: answer(m.Header)}, nil
			})
			_, err := open(auth, b).Request(ctx, "subject", &bus.Message{})
			return err
		},
	})
}
