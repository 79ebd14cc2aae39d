package waybilljetstream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// Every mistake is an error of the constructor, which says what to do.
func TestNewErrors(t *testing.T) {
	auth, js := waybilltest.Authority(t), struct{ jetstream.Publisher }{}
	type opts = []waybilljetstream.Option
	for _, c := range []struct {
		name string
		auth *waybill.Authority
		js   jetstream.Publisher
		opts opts
		want string // part of the error; "": no error
	}{
		{"no options", auth, js, nil, ""},
		{"all options", auth, js, opts{
			waybilljetstream.Required(), waybilljetstream.RequireClaims(Cell), waybilljetstream.ReportOnly(),
			waybilljetstream.OnlySubjects("a.>", "b"), waybilljetstream.DeadLetter("dead.a"),
			waybilljetstream.AcceptExpired(time.Hour, "A", "B"), waybilljetstream.MaxAge(time.Hour), waybilljetstream.Workers(4),
			waybilljetstream.MeterProvider(nil), waybilljetstream.Logger(nil),
		}, ""},
		{"no Authority", nil, js, nil, "waybill.New"},
		{"no JetStream", auth, nil, nil, "jetstream.New"},
		{"no subjects", auth, js, opts{waybilljetstream.OnlySubjects()}, "publish with jetstream.JetStream"},
		{"bad subject", auth, js, opts{waybilljetstream.OnlySubjects("a.>.b")}, `"a.>.b" is not a subject pattern`},
		{"no claims", auth, js, opts{waybilljetstream.RequireClaims()}, "use Required"},
		{"nil claim", auth, js, opts{waybilljetstream.RequireClaims(nil)}, "waybill.NewClaim"},
		{"no dead letters", auth, js, opts{waybilljetstream.DeadLetter("")}, "DeadLetter"},
		{"dead letters to a pattern", auth, js, opts{waybilljetstream.DeadLetter("dead.>")}, "wildcards"},
		{"expired, negative", auth, js, opts{waybilljetstream.AcceptExpired(-1, "A")}, "greater than zero"},
		{"expired, zero", auth, js, opts{waybilljetstream.AcceptExpired(0, "A")}, "greater than zero"},
		{"expired, no stream", auth, js, opts{waybilljetstream.AcceptExpired(time.Hour)}, "name the streams"},
		{"expired, unnamed stream", auth, js, opts{waybilljetstream.AcceptExpired(time.Hour, "A", "")}, "name the streams"},
		{"loss accepted", auth, js, opts{waybilljetstream.AllowLoss()}, ""},
		{"dead letters and loss", auth, js, opts{waybilljetstream.AllowLoss(), waybilljetstream.DeadLetter("dead.a")}, "leave one of them out"},
		{"no workers", auth, js, opts{waybilljetstream.Workers(0)}, "greater than zero"},
		{"age, negative", auth, js, opts{waybilljetstream.MaxAge(-1)}, "greater than zero"},
		{"age, zero", auth, js, opts{waybilljetstream.MaxAge(0)}, "greater than zero"},
	} {
		stream, err := waybilljetstream.New(c.auth, c.js, c.opts...)
		if c.want == "" {
			if err != nil || stream == nil {
				t.Errorf("%s: error %v, want none", c.name, err)
			}
			continue
		}
		if err == nil || stream != nil || !strings.HasPrefix(err.Error(), "waybilljetstream: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one of this package with %q, and no value", c.name, err, c.want)
		}
	}
}

// Consume and Redrive report a consumer or handler that is missing.
func TestConsumeErrors(t *testing.T) {
	stream, err := waybilljetstream.New(waybilltest.Authority(t), struct{ jetstream.Publisher }{})
	if err != nil {
		t.Fatal(err)
	}
	handle := func(context.Context, jetstream.Msg) error { return nil }
	cons := struct{ jetstream.Consumer }{}
	for name, consume := range map[string]func(context.Context, jetstream.Consumer,
		func(context.Context, jetstream.Msg) error, ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error){
		"Consume": stream.Consume, "Redrive": stream.Redrive,
	} {
		if _, err := consume(t.Context(), nil, handle); err == nil || !strings.Contains(err.Error(), "no consumer") {
			t.Errorf("%s without a consumer: error %v", name, err)
		}
		if _, err := consume(t.Context(), cons, nil); err == nil || !strings.Contains(err.Error(), "no handler") {
			t.Errorf("%s without a handler: error %v", name, err)
		}
	}
}
