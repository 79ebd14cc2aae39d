package carriers

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestJetStream(t *testing.T) {
	js, err := jetstream.New(broker(t))
	check(t, err)
	o := overJetStream{js, t}
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: o.call, Raw: o.raw, Answer: o.answer, OneWay: true})
}

// overJetStream publishes, each time to a stream of its own.
type overJetStream struct {
	js jetstream.JetStream
	t  testing.TB
}

// queue makes a stream with a consumer.
func (o overJetStream) queue() (subject string, cons jetstream.Consumer, err error) {
	ctx, cancel := waiting(context.Background())
	defer cancel()
	name := rand.Text()
	stream, err := o.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.MemoryStorage})
	if err != nil {
		return "", nil, err
	}
	cons, err = stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "check", AckPolicy: jetstream.AckExplicitPolicy})
	return name, cons, err
}

// outliving is a consumer whose process outlives a handler's panic. It tells when a message is done.
type outliving struct {
	jetstream.Consumer
	done chan struct{}
}

func (o outliving) Consume(h jetstream.MessageHandler, opts ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	return o.Consumer.Consume(func(m jetstream.Msg) {
		defer func() {
			recover()
			o.done <- struct{}{}
		}()
		h(m)
	}, opts...)
}

// serve consumes until the test ends.
func (o overJetStream) serve(s waybilltest.Service) (subject string, done <-chan struct{}, err error) {
	subject, cons, err := o.queue()
	if err != nil {
		return "", nil, err
	}
	each := make(chan struct{}, 16)
	run, err := must(waybilljetstream.New(s.Auth, o.js)).Consume(s.Context, outliving{cons, each}, func(ctx context.Context, m jetstream.Msg) error {
		return s.Handle(ctx, lower(m.Headers()))
	})
	if err == nil {
		o.t.Cleanup(run.Stop)
	}
	return subject, each, err
}

func (o overJetStream) call(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
	subject, _, err := o.serve(s)
	if err != nil {
		return nil, err
	}
	return nil, o.publish(ctx, auth, subject)
}

func (o overJetStream) publish(ctx context.Context, auth *waybill.Authority, subject string) error {
	ctx, cancel := waiting(ctx)
	defer cancel()
	_, err := must(waybilljetstream.New(auth, o.js)).Publish(ctx, &nats.Msg{Subject: subject})
	return err
}

func (o overJetStream) raw(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
	subject, done, err := o.serve(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := waiting(context.Background())
	defer cancel()
	if _, err = o.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: spelled(h)}); err != nil {
		return nil, err
	}
	return nil, ended(done)
}

func (o overJetStream) answer(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	subject, cons, err := o.queue()
	if err != nil {
		return err
	}
	if err := o.publish(ctx, auth, subject); err != nil {
		return err
	}
	m, err := cons.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		return err
	}
	answer(lower(m.Headers()))
	return m.Ack()
}
