package carriers

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// broker runs a server with JetStream, and connects to it, until the test ends.
func broker(t testing.TB) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	check(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not take connections")
	}
	nc, err := nats.Connect(s.ClientURL())
	check(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func TestNATSRequest(t *testing.T) {
	o := overNATS{broker(t)}
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: o.callOf(o.subscribe), Raw: o.rawOf(o.subscribe), Answer: o.answer})
}

func TestNATSMicro(t *testing.T) {
	o := overNATS{broker(t)}
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: o.callOf(o.endpoint), Raw: o.rawOf(o.endpoint), Answer: o.answer})
}

// What is published without a reply subject has no way back.
func TestNATSPublish(t *testing.T) {
	o := overNATS{broker(t)}
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: o.publish, Raw: o.publishRaw, Answer: o.receive, OneWay: true})
}

// overNATS makes requests, each to a subject of its own. What it subscribes ends with the connection.
type overNATS struct{ nc *nats.Conn }

// serving makes a service listen to a new subject.
type serving func(waybilltest.Service) (subject string, done <-chan struct{}, err error)

// failing is an answer that says in the manner of package micro that the request failed.
func failing(text string) *nats.Msg {
	return &nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {"500"}, micro.ErrorHeader: {text}}}
}

func (o overNATS) subscribe(s waybilltest.Service) (string, <-chan struct{}, error) {
	subject := nats.NewInbox()
	ours := must(waybillnats.New(s.Auth, o.nc)).Handler(func(ctx context.Context, m *waybillnats.Msg) {
		answer := &nats.Msg{}
		if err := s.Handle(ctx, lower(m.Header)); err != nil {
			answer = failing(err.Error())
		}
		if m.Reply != "" {
			m.RespondMsg(answer) // if it fails, the caller's wait does
		}
	})
	done := make(chan struct{}, 16)
	return subject, done, o.listen(subject, func(m *nats.Msg) {
		defer func() {
			if recover() != nil && m.Reply != "" {
				m.RespondMsg(failing("panic"))
			}
			done <- struct{}{}
		}()
		ours(m)
	})
}

func (o overNATS) listen(subject string, h nats.MsgHandler) error {
	if _, err := o.nc.Subscribe(subject, h); err != nil {
		return err
	}
	return o.nc.Flush()
}

func (o overNATS) endpoint(s waybilltest.Service) (string, <-chan struct{}, error) {
	subject := nats.NewInbox()
	ours := must(waybillnats.New(s.Auth, o.nc)).MicroHandler(func(ctx context.Context, r micro.Request) {
		if err := s.Handle(ctx, lower(r.Headers())); err != nil {
			r.Error("500", err.Error(), nil)
			return
		}
		r.Respond(nil)
	})
	svc, err := micro.AddService(o.nc, micro.Config{Name: "check", Version: "1.0.0"})
	if err != nil {
		return "", nil, err
	}
	err = svc.AddEndpoint("check", micro.HandlerFunc(func(r micro.Request) {
		defer func() {
			if recover() != nil {
				r.Error("500", "panic", nil)
			}
		}()
		ours.Handle(r)
	}), micro.WithEndpointSubject(subject))
	if err != nil {
		return "", nil, err
	}
	return subject, nil, o.nc.Flush()
}

// result is what a caller sees of a reply.
func result(reply *nats.Msg, err error) (waybilltest.Headers, error) {
	if err != nil {
		return nil, err
	}
	if text := reply.Header.Get(micro.ErrorHeader); text != "" {
		err = fmt.Errorf("%w: %s", errFailed, text)
	}
	return lower(reply.Header), err
}

func (o overNATS) callOf(serve serving) func(context.Context, *waybill.Authority, waybilltest.Service) (waybilltest.Headers, error) {
	return func(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
		subject, _, err := serve(s)
		if err != nil {
			return nil, err
		}
		ctx, cancel := waiting(ctx)
		defer cancel()
		return result(must(waybillnats.New(auth, o.nc)).Request(ctx, &nats.Msg{Subject: subject}))
	}
}

func (o overNATS) rawOf(serve serving) func(waybilltest.Service, waybilltest.Headers) (waybilltest.Headers, error) {
	return func(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
		subject, _, err := serve(s)
		if err != nil {
			return nil, err
		}
		return result(o.nc.RequestMsg(&nats.Msg{Subject: subject, Header: spelled(h)}, patience))
	}
}

func (o overNATS) answer(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	subject := nats.NewInbox()
	err := o.listen(subject, func(m *nats.Msg) { m.RespondMsg(&nats.Msg{Header: spelled(answer(lower(m.Header)))}) })
	if err != nil {
		return err
	}
	ctx, cancel := waiting(ctx)
	defer cancel()
	_, err = result(must(waybillnats.New(auth, o.nc)).Request(ctx, &nats.Msg{Subject: subject}))
	return err
}

func (o overNATS) publish(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
	subject, _, err := o.subscribe(s)
	if err != nil {
		return nil, err
	}
	return nil, must(waybillnats.New(auth, o.nc)).Publish(ctx, &nats.Msg{Subject: subject})
}

func (o overNATS) publishRaw(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
	subject, done, err := o.subscribe(s)
	if err != nil {
		return nil, err
	}
	if err := o.nc.PublishMsg(&nats.Msg{Subject: subject, Header: spelled(h)}); err != nil {
		return nil, err
	}
	return nil, ended(done)
}

func (o overNATS) receive(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	subject := nats.NewInbox()
	if err := o.listen(subject, func(m *nats.Msg) { answer(lower(m.Header)) }); err != nil {
		return err
	}
	return must(waybillnats.New(auth, o.nc)).Publish(ctx, &nats.Msg{Subject: subject})
}
