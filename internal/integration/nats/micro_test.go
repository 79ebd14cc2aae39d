package natstest

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// serveMicro runs a service with one endpoint.
func serveMicro(t testing.TB, nc *nats.Conn, subject string, h micro.Handler) micro.Service {
	t.Helper()
	service, err := micro.AddService(nc, micro.Config{
		Name: subject, Version: "1.0.0", Endpoint: &micro.EndpointConfig{Subject: subject, Handler: h},
	})
	check(t, err)
	t.Cleanup(func() { _ = service.Stop() })
	flush(t, nc)
	return service
}

func TestMicro(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	shared := micro.Headers{"X": {"1"}, "waybill-update": {"copied"}}
	before := maps.Clone(shared)
	handler := func(answer func(micro.Request) error) micro.Handler {
		return newConn(t, auth, nc).MicroHandler(func(ctx context.Context, r micro.Request) {
			if got := spellings(nats.Header(r.Headers())); got != nil {
				t.Errorf("the request has headers %q, want none", got)
			}
			note(t, waybill.Update(ctx, Seats.To(3), Coupon.To("spent")))
			note(t, answer(r))
		})
	}
	for _, c := range []struct {
		subject string
		answer  func(micro.Request) error
		data    string
		header  nats.Header // in addition to the returned token
		coupon  string
	}{
		{"respond", func(r micro.Request) error { return r.Respond([]byte("ok")) }, "ok", nil, "spent"},
		{"headers", func(r micro.Request) error { return r.Respond([]byte("ok"), micro.WithHeaders(shared)) }, "ok",
			nats.Header{"X": {"1"}}, "spent"},
		{"json", func(r micro.Request) error { return r.RespondJSON(7, micro.WithHeaders(shared)) }, "7",
			nats.Header{"X": {"1"}}, "spent"},
		{"error", func(r micro.Request) error {
			return r.Error("409", "sold out", []byte("why"), micro.WithHeaders(shared))
		}, "why",
			nats.Header{"X": {"1"}, micro.ErrorCodeHeader: {"409"}, micro.ErrorHeader: {"sold out"}}, "good"},
		{"retried", func(r micro.Request) error {
			if err := r.Error("", "", nil); !errors.Is(err, micro.ErrArgRequired) {
				t.Errorf("Error without a code: error %v, want %v", err, micro.ErrArgRequired)
			}
			if err := r.RespondJSON(make(chan int)); !errors.Is(err, micro.ErrMarshalResponse) {
				t.Errorf("RespondJSON of a channel: error %v, want %v", err, micro.ErrMarshalResponse)
			}
			return r.Respond([]byte("ok"))
		}, "ok", nil, "spent"},
	} {
		t.Run(c.subject, func(t *testing.T) {
			serveMicro(t, nc, c.subject, handler(c.answer))
			ctx := waybilltest.Context(t, auth, Seats.To(1), Coupon.To("good"))
			reply, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: c.subject})
			check(t, err)
			if string(reply.Data) != c.data {
				t.Errorf("answer %q, want %q", reply.Data, c.data)
			}
			if len(reply.Header)+len(c.header) > 0 && !reflect.DeepEqual(reply.Header, c.header) {
				t.Errorf("headers %v, want %v", reply.Header, c.header)
			}
			wantClaims(t, ctx, "", 3, nil)
			if got, _ := Coupon.Get(ctx); got != c.coupon {
				t.Errorf("coupon %q, want %q", got, c.coupon)
			}
		})
	}
	if !reflect.DeepEqual(shared, before) {
		t.Errorf("the service's own headers became %v, want %v", shared, before)
	}
}

// A micro answer that exceeds max_payload with its returned token is sent without the token.
func TestMicroMaxPayload(t *testing.T) {
	const limit = 4096
	nc := connect(t, start(t, func(o *server.Options) { o.MaxPayload = limit }))
	auth := waybilltest.Authority(t, claims)
	for name, answer := range map[string]func(micro.Request) error{
		"respond": func(r micro.Request) error { return r.Respond(make([]byte, limit-10)) },
		"error":   func(r micro.Request) error { return r.Error("500", "no", make([]byte, limit-100)) },
	} {
		t.Run(name, func(t *testing.T) {
			provider, counted := count(t)
			answered := make(chan struct{}, 1)
			conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
			serveMicro(t, nc, name, conn.MicroHandler(func(ctx context.Context, r micro.Request) {
				note(t, waybill.Update(ctx, Seats.To(3)))
				note(t, answer(r))
				answered <- struct{}{}
			}))
			ctx := waybilltest.Context(t, auth, Seats.To(1))
			reply, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: name})
			check(t, err)
			if len(reply.Data) < limit-100 {
				t.Errorf("reply of %d bytes, want at least %d", len(reply.Data), limit-100)
			}
			wantClaims(t, ctx, "", 1, nil)
			receive(t, answered, "the handler")
			counted.want(t, "waybill.return", "too_large", 1)
		})
	}
}
