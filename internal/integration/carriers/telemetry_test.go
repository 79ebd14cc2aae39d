package carriers

import (
	"context"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// global is where everything counts that is given no provider.
var global = counting()

func TestMain(m *testing.M) {
	otel.SetMeterProvider(global)
	os.Exit(m.Run())
}

// since waits until this was counted since an earlier look: some servers count when their answer has left.
func since(t *testing.T, before, want map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		clear(got)
		for name, n := range global.counts(t) {
			if n != before[name] {
				got[name] = n - before[name]
			}
		}
		if maps.Equal(got, want) {
			return
		}
		if time.Now().After(late) {
			t.Errorf("counted %v, want %v", got, want)
			return
		}
	}
}

// TestMetrics: over each transport each thing that happens to a call counts once.
func TestMetrics(t *testing.T) {
	nc := broker(t)
	js, err := jetstream.New(nc)
	check(t, err)
	n, s := overNATS{nc}, overJetStream{js, t}
	for _, tt := range []struct {
		name, transport string
		carrier         waybilltest.Carrier
	}{
		{"HTTP/1.1", "http", overHTTP{false}.carrier()},
		{"HTTP/2", "http", overHTTP{true}.carrier()},
		{"gRPC unary", "grpc", overGRPC{unary}.carrier()},
		{"gRPC stream", "grpc", overGRPC{stream}.carrier()},
		{"NATS request", "nats", waybilltest.Carrier{Call: n.callOf(n.subscribe), Answer: n.answer}},
		{"NATS micro", "nats", waybilltest.Carrier{Call: n.callOf(n.endpoint), Answer: n.answer}},
		{"NATS publish", "nats", waybilltest.Carrier{Call: n.publish, Answer: n.receive, OneWay: true}},
		{"JetStream", "jetstream", waybilltest.Carrier{Call: s.call, Answer: s.answer, OneWay: true}},
	} {
		for _, c := range happenings {
			if c.back && tt.carrier.OneWay {
				continue
			}
			t.Run(tt.name+"/"+c.name, func(t *testing.T) {
				before := global.counts(t)
				c.run(t, tt.carrier)
				want := map[string]int64{}
				for name, n := range c.counts {
					want[name+" "+tt.transport] = n
				}
				since(t, before, want)
			})
		}
	}
}

// happening is something that counts.
type happening struct {
	name   string
	back   bool // it needs a way back
	run    func(t *testing.T, c waybilltest.Carrier)
	counts map[string]int64
}

var happenings = []happening{
	{"a call without a change", false, func(t *testing.T, c waybilltest.Carrier) {
		auth := authority(t)
		called(t, c, waybilltest.Context(t, auth, Cell.To("a")), auth, nil)
	}, map[string]int64{"waybill.inject sent": 1, "waybill.open ok": 1}},
	{"a call without a waybill", false, func(t *testing.T, c waybilltest.Carrier) {
		called(t, c, t.Context(), authority(t), nil)
	}, map[string]int64{"waybill.inject absent": 1, "waybill.open absent": 1}},
	{"a change relayed", true, func(t *testing.T, c waybilltest.Carrier) {
		auth := authority(t)
		called(t, c, waybilltest.Context(t, auth, Cell.To("a")), auth, changing(Cell.To("b")))
	}, map[string]int64{"waybill.inject sent": 1, "waybill.open ok": 1, "waybill.return answered": 1, "waybill.return relayed": 1}},
	{"a change merged", true, func(t *testing.T, c waybilltest.Carrier) {
		auth := authority(t)
		ctx := waybilltest.Context(t, auth, Cell.To("a"))
		check(t, waybill.Update(ctx, Seats.To(1)))
		called(t, c, ctx, auth, changing(Cell.To("b")))
	}, map[string]int64{"waybill.inject sent": 1, "waybill.open ok": 1, "waybill.return answered": 1, "waybill.return merged": 1}},
	{"an update refused", true, func(t *testing.T, c waybilltest.Carrier) {
		auth := authority(t)
		check(t, c.Answer(waybilltest.Context(t, auth, Cell.To("a")), auth, func(waybilltest.Headers) waybilltest.Headers {
			return waybilltest.Headers{waybill.HeaderReturn: {"garbage"}}
		}))
	}, map[string]int64{"waybill.inject sent": 1, "waybill.return rejected": 1}},
	{"two changes that nobody can join", true, func(t *testing.T, c waybilltest.Carrier) {
		nobody, auth := waybilltest.Authority(t), authority(t)
		ctx, hop := nobody.Receive(t.Context(), []string{token(t, auth, Seats.To(1))}, nil)
		check(t, hop.Err())
		answer := func(seats int, first func()) {
			check(t, c.Answer(ctx, nobody, func(h waybilltest.Headers) waybilltest.Headers {
				first()
				callee, hop := auth.Receive(context.Background(), h[waybill.Header], nil)
				if err := waybill.Update(callee, Seats.To(seats)); err != nil {
					t.Error(err)
				}
				return waybilltest.Headers{waybill.HeaderReturn: hop.Commit(waybill.Succeeded)}
			}))
		}
		answer(9, func() { answer(5, func() {}) }) // the second call ends within the first
	}, map[string]int64{"waybill.inject sent": 2, "waybill.return relayed": 1, "waybill.return conflict": 1}},
}

func changing(changes ...waybill.Change) func(context.Context) error {
	return func(ctx context.Context) error { return waybill.Update(ctx, changes...) }
}

// called makes a call and waits for its handler.
func called(t *testing.T, c waybilltest.Carrier, ctx context.Context, auth *waybill.Authority, handle func(context.Context) error) {
	t.Helper()
	done := make(chan struct{})
	_, err := c.Call(ctx, auth, waybilltest.Service{Auth: auth, Context: context.Background(),
		Handle: func(ctx context.Context, _ waybilltest.Headers) error {
			defer close(done)
			if handle == nil {
				return nil
			}
			return handle(ctx)
		}})
	check(t, err)
	check(t, ended(done))
}

// TestSpans: the span of a server, made by OpenTelemetry's own instrumentation, names the waybill, and of its claims those
// that the Authority allows; with the propagator and without.
func TestSpans(t *testing.T) {
	auth := authority(t, waybill.Traced(Cell, Seats))
	wb, err := auth.Issue(Cell.To("eu-3"), Seats.To(2), Tenant.To("secret"))
	check(t, err)
	for name, with := range map[string]propagation.TextMapPropagator{
		"alone": propagation.TraceContext{},
		"with the propagator": propagation.NewCompositeTextMapPropagator(
			propagation.TraceContext{}, must(waybillprop.New(auth))),
	} {
		for transport, request := range map[string]func(*testing.T, *waybill.Authority, string, trace.TracerProvider, propagation.TextMapPropagator){
			"HTTP": tracedHTTP, "gRPC": tracedGRPC,
		} {
			t.Run(transport+" "+name, func(t *testing.T) {
				for token, want := range map[string]map[string]string{
					wb.Token(): {"waybill.outcome": "ok", "waybill.sid": wb.ID(), "waybill.kid": wb.KeyID(),
						"waybill.claim.cell": "eu-3", "waybill.claim.seats": "2"},
					forged(wb.Token()): {"waybill.outcome": "forged"},
				} {
					spans := tracetest.NewSpanRecorder()
					request(t, auth, token, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), with)
					for late := time.Now().Add(patience); len(spans.Ended()) == 0; time.Sleep(time.Millisecond) {
						if time.Now().After(late) {
							t.Fatal("the server's span does not end")
						}
					}
					got := map[string]string{}
					for _, span := range spans.Ended() {
						for _, a := range span.Attributes() {
							if strings.HasPrefix(string(a.Key), "waybill.") {
								got[string(a.Key)] = a.Value.AsString()
							}
						}
					}
					if !maps.Equal(got, want) {
						t.Errorf("attributes %v, want %v", got, want)
					}
				}
			})
		}
	}
}

func tracedHTTP(t *testing.T, auth *waybill.Authority, token string, tracer trace.TracerProvider, p propagation.TextMapPropagator) {
	h := otelhttp.NewHandler(must(waybillhttp.NewServer(auth)).Middleware(http.NotFoundHandler()), "op",
		otelhttp.WithTracerProvider(tracer), otelhttp.WithPropagators(p))
	s := overHTTP{}.start(t.Context(), h)
	get(t.Context(), s.Client().Transport, s.URL, http.Header{"Waybill": {token}}) // whatever it answers
	s.Close()
}

func tracedGRPC(t *testing.T, auth *waybill.Authority, token string, tracer trace.TracerProvider, p propagation.TextMapPropagator) {
	opts := append(must(waybillgrpc.NewServer(auth)).ServerOptions(),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(tracer), otelgrpc.WithPropagators(p))))
	ctx := metadata.AppendToOutgoingContext(t.Context(), waybill.Header, token)
	overGRPC{unary}.do(ctx, func(context.Context) error { return nil }, opts, nil) // whatever it answers
}
