package waybillnats_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// Every mistake is an error of the constructor, which says what to do.
func TestNewErrors(t *testing.T) {
	auth, nc := waybilltest.Authority(t), new(nats.Conn)
	var none context.Context
	type opts = []waybillnats.Option
	for _, c := range []struct {
		name string
		auth *waybill.Authority
		nc   *nats.Conn
		opts opts
		want string // part of the error; "": no error
	}{
		{"no options", auth, nc, nil, ""},
		{"all options", auth, nc, opts{
			waybillnats.Required(), waybillnats.RequireClaims(Cell), waybillnats.ReportOnly(),
			waybillnats.OnlySubjects("a.>", "b"), waybillnats.OnlyAccept(Cell), waybillnats.MeterProvider(nil), waybillnats.Logger(nil),
			waybillnats.OnlyReplies("_INBOX.>"), waybillnats.BaseContext(t.Context()), waybillnats.TracerProvider(nil), waybillnats.WithoutTraces(),
		}, ""},
		{"accept nothing", auth, nc, opts{waybillnats.OnlyAccept()}, ""},
		{"no Authority", nil, nc, nil, "waybill.New"},
		{"no connection", auth, nil, nil, "nats.Connect"},
		{"no subjects", auth, nc, opts{waybillnats.OnlySubjects()}, "methods of nats.Conn"},
		{"bad subject", auth, nc, opts{waybillnats.OnlySubjects("good", "a..b")}, `"a..b" is not a subject pattern`},
		{"no reply subjects", auth, nc, opts{waybillnats.OnlyReplies()}, "leave it out"},
		{"bad reply subject", auth, nc, opts{waybillnats.OnlyReplies("a.")}, `"a." is not a subject pattern`},
		{"no base context", auth, nc, opts{waybillnats.BaseContext(none)}, "BaseContext has no context"},
		{"no claims", auth, nc, opts{waybillnats.RequireClaims()}, "use Required"},
		{"nil required claim", auth, nc, opts{waybillnats.RequireClaims(Cell, nil)}, "waybill.NewClaim"},
		{"nil accepted claim", auth, nc, opts{waybillnats.OnlyAccept(nil)}, "waybill.NewClaim"},
	} {
		conn, err := waybillnats.New(c.auth, c.nc, c.opts...)
		if c.want == "" {
			if err != nil || conn == nil {
				t.Errorf("%s: error %v, want none", c.name, err)
			}
			continue
		}
		if err == nil || conn != nil || !strings.HasPrefix(err.Error(), "waybillnats: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one of this package with %q, and no value", c.name, err, c.want)
		}
	}
}

// A nil handler function panics when it is passed, and not when the first message comes.
func TestNilHandler(t *testing.T) {
	conn, err := waybillnats.New(waybilltest.Authority(t), new(nats.Conn))
	if err != nil {
		t.Fatal(err)
	}
	for name, pass := range map[string]func(){
		"Handler":      func() { conn.Handler((func(context.Context, *waybillnats.Msg))(nil)) },
		"MicroHandler": func() { conn.MicroHandler((func(context.Context, micro.Request))(nil)) },
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, name) {
					t.Errorf("%s: panic %q, want one that names it", name, got)
				}
			}()
			pass()
		}()
	}
}
