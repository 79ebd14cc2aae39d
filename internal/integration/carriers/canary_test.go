package carriers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/httptrace/otelhttptrace"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestCanary: a journey through all transports, with stock instrumentation at each of them, shows its tokens nowhere.
func TestCanary(t *testing.T) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		t.Run(p.String(), func(t *testing.T) { journey(t, waybilltest.NewCanary(t), p, leaks{}) })
	}
}

// TestCanarySings: the same journey with one layer at the wrong place, where tokens are, is found out.
func TestCanarySings(t *testing.T) {
	for name, l := range map[string]leaks{
		"HTTP middleware around ours":           {outerHTTP: true},
		"gRPC interceptor around ours":          {outerGRPC: true},
		"HTTP transport below ours":             {below: true},
		"subscriber of a service's own subject": {eavesdrop: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recording{TB: t}
			journey(t, waybilltest.NewCanary(r), waybill.Signed, l)
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.failed) == 0 {
				t.Error("the canary found nothing")
			}
		})
	}
}

// recording keeps the failures of a test.
type recording struct {
	testing.TB
	mu     sync.Mutex
	failed []string
}

func (r *recording) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// leaks are layers at places that see tokens.
type leaks struct{ outerHTTP, outerGRPC, below, eavesdrop bool }

// crossing is one journey, and where its instrumentation reports.
type crossing struct {
	t      *testing.T
	canary *waybilltest.Canary
	leaks  leaks
	auth   *waybill.Authority
	prop   propagation.TextMapPropagator
	tracer *sdktrace.TracerProvider
	meter  *metric.MeterProvider
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
}

// journey sends a client through an edge, which calls HTTP services and a gRPC service. The latter makes a NATS request,
// whose service publishes to a stream. Each of them changes claims.
func journey(t *testing.T, canary *waybilltest.Canary, p waybill.Protection, l leaks) {
	c := &crossing{t: t, canary: canary, leaks: l, auth: authority(t, waybill.Protect(p), waybill.Traced(Cell)),
		spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	c.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c.spans))
	c.meter = metric.NewMeterProvider(metric.WithReader(c.reader))
	c.prop = propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, must(waybillprop.New(c.auth)))
	before, flags := slog.Default(), log.Flags()
	slog.SetDefault(slog.New(slog.NewJSONHandler(canary.Writer("the log"), &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(io.Discard)
		log.SetFlags(flags)
	}()

	queued := make(chan struct{}, 16)
	ask, stop := c.bus(queued)
	call, stopGRPC := c.rpc(ask)
	edge, stopHTTP := c.web(call)
	first := visit(t, edge, "")
	visited := visit(t, edge, first)
	for range 4 { // each visit makes two calls
		check(t, ended(queued))
	}
	stopHTTP()
	stopGRPC()
	stop()

	wb, err := c.auth.Open(visited)
	check(t, err)
	seats, _ := Seats.Of(wb)
	cell, _ := Cell.Of(wb)
	tenant, _ := Tenant.Of(wb)
	if seats != 7 || cell != "rpc" || tenant != "bus" {
		t.Errorf("claims after the journey: %d, %q, %q; want 7, rpc, bus", seats, cell, tenant)
	}
	c.inspect()
}

// visit is a client without instrumentation. It returns its token.
func visit(t *testing.T, url, token string) string {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), "GET", url, nil))
	if token != "" {
		r.Header.Set("Waybill", token)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	check(t, err)
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if got := resp.Header.Get("Waybill-Update"); got != "" {
		return got
	}
	if resp.StatusCode != 200 || token == "" {
		t.Fatalf("the edge answers %s without a token", resp.Status)
	}
	return token
}

// web starts the edge, an HTTP service, and a host that is not approved.
func (c *crossing) web(call func(context.Context) error) (edge string, stop func()) {
	foreign := httptest.NewServer(c.canary.Handler("a foreign host"))
	service := httptest.NewServer(c.http(must(waybillhttp.NewServer(c.auth, waybillhttp.Required())).Middleware,
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/away" {
				http.Redirect(w, r, foreign.URL, http.StatusTemporaryRedirect)
				return
			}
			c.note(waybill.Update(r.Context(), Seats.To(5)))
			io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
			c.note(waybill.Update(r.Context(), Seats.To(7))) // in a trailer
		}))
	u := must(url.Parse(service.URL))
	base := http.DefaultTransport.(*http.Transport).Clone()
	var rt http.RoundTripper = waybillhttp.Redacted(base)
	if c.leaks.below {
		rt = dumping{base}
	}
	below := c.tracing(rt, otelhttp.WithClientTrace(c.clientTrace))
	client := &http.Client{Transport: c.tracing(must(waybillhttp.NewTransport(
		c.auth, below, waybillhttp.AllowHosts(u.Host), waybillhttp.AllowPlaintext())))}
	e := httptest.NewServer(c.http(must(waybillhttp.NewEdge(c.auth)).Middleware,
		func(w http.ResponseWriter, r *http.Request) {
			for _, path := range []string{"/", "/away"} {
				ctx := httptrace.WithClientTrace(r.Context(), c.clientTrace(r.Context()))
				resp, err := client.Do(must(http.NewRequestWithContext(ctx, "GET", service.URL+path, nil)))
				if err != nil {
					c.note(err)
					return
				}
				dump := must(httputil.DumpResponse(resp, true))
				slog.Info("response", "dump", string(dump), "request", must(httputil.DumpRequest(resp.Request, true)))
				c.canary.Check("a response", string(dump), resp.Header, resp.Trailer, resp.Request.Header)
				c.canary.Check("Response.Request", string(must(httputil.DumpRequest(resp.Request, true))), resp.Request)
				resp.Body.Close()
			}
			c.note(call(r.Context()))
			c.note(waybill.Lost(r.Context()))
		}))
	return e.URL, func() { e.Close(); service.Close(); foreign.Close(); base.CloseIdleConnections() }
}

// http instruments a handler: otelhttp around our middleware, a dump inside it.
func (c *crossing) http(ours func(http.Handler) http.Handler, h http.HandlerFunc) http.Handler {
	dump := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			slog.Info("request", "dump", string(must(httputil.DumpRequest(r, true))), "header", r.Header, "writer", w.Header())
			next.ServeHTTP(w, r)
		})
	}
	inner := ours(dump(h))
	if c.leaks.outerHTTP {
		inner = dump(inner)
	}
	return otelhttp.NewHandler(inner, "op", otelhttp.WithPropagators(c.prop), otelhttp.WithTracerProvider(c.tracer),
		otelhttp.WithMeterProvider(c.meter), otelhttp.WithMessageEvents(otelhttp.ReadEvents, otelhttp.WriteEvents))
}

// tracing instruments a transport.
func (c *crossing) tracing(base http.RoundTripper, opts ...otelhttp.Option) http.RoundTripper {
	return otelhttp.NewTransport(base, append(opts, otelhttp.WithPropagators(c.prop),
		otelhttp.WithTracerProvider(c.tracer), otelhttp.WithMeterProvider(c.meter))...)
}

// clientTrace records the headers that are sent.
func (c *crossing) clientTrace(ctx context.Context) *httptrace.ClientTrace {
	return otelhttptrace.NewClientTrace(ctx, otelhttptrace.WithTracerProvider(c.tracer))
}

// dumping prints the requests that it sends.
type dumping struct{ base http.RoundTripper }

func (d dumping) RoundTrip(r *http.Request) (*http.Response, error) {
	slog.Info("sent", "dump", string(must(httputil.DumpRequest(r, false))))
	return d.base.RoundTrip(r)
}

// rpc starts a gRPC service, and returns calls of it: unary and streaming.
func (c *crossing) rpc(ask func(context.Context) error) (call func(context.Context) error, stop func()) {
	otelServer := grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithPropagators(c.prop), otelgrpc.WithTracerProvider(c.tracer),
		otelgrpc.WithMeterProvider(c.meter), otelgrpc.WithMessageEvents(otelgrpc.ReceivedEvents, otelgrpc.SentEvents)))
	printing := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, i *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			printIncoming(ctx, i.FullMethod)
			return h(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, i *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			printIncoming(s.Context(), i.FullMethod)
			return h(srv, s)
		}),
	}
	ours := must(waybillgrpc.NewServer(c.auth, waybillgrpc.Required())).ServerOptions()
	server := slices.Concat([]grpc.ServerOption{otelServer}, ours, printing)
	if c.leaks.outerGRPC {
		server = slices.Concat([]grpc.ServerOption{otelServer}, printing, ours)
	}
	client := append([]grpc.DialOption{
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithPropagators(c.prop), otelgrpc.WithTracerProvider(c.tracer),
			otelgrpc.WithMeterProvider(c.meter))),
		grpc.WithChainUnaryInterceptor(printCall),
	}, must(waybillgrpc.NewClient(c.auth, waybillgrpc.AllowPlaintext())).DialOptions()...)
	client = append(client, grpc.WithChainUnaryInterceptor(printOptions))
	to, stop, err := dial(func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		c.canary.Check("the metadata of a handler", md)
		if err := waybill.Update(ctx, Cell.To("rpc")); err != nil {
			return err
		}
		return ask(ctx)
	}, server, client)
	check(c.t, err)
	return func(ctx context.Context) error {
		for _, kind := range []func(context.Context, grpc_testing.TestServiceClient) (metadata.MD, metadata.MD, error){unary, stream} {
			header, trailer, err := kind(ctx, to)
			c.canary.Check("the answer of a call", header, trailer, err)
			if err != nil {
				return err
			}
		}
		return nil
	}, stop
}

func printIncoming(ctx context.Context, method string) {
	md, _ := metadata.FromIncomingContext(ctx)
	slog.InfoContext(ctx, method, "metadata", md)
}

// printCall is around our interceptor: it prints what the caller sees.
func printCall(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	var header, trailer metadata.MD
	err := invoke(ctx, method, req, reply, cc, append(slices.Clip(opts), grpc.Header(&header), grpc.Trailer(&trailer))...)
	slog.InfoContext(ctx, method, "header", header, "trailer", trailer, "error", err)
	return err
}

// printOptions is inside our interceptor: it prints what goes on to gRPC, where it can be seen.
func printOptions(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	slog.InfoContext(ctx, method, "metadata", md, "options", fmt.Sprintf("%+v %#v", opts, opts))
	return invoke(ctx, method, req, reply, cc, opts...)
}

// bus starts a NATS service and a consumer, and returns a request to the former. The consumer tells of each message.
func (c *crossing) bus(done chan<- struct{}) (ask func(context.Context) error, stop func()) {
	t, nc := c.t, broker(c.t)
	js := must(jetstream.New(nc))
	ctx, cancel := waiting(t.Context())
	subject, queue := rand.Text(), rand.Text()
	events := c.canary.Writer("a trace event")
	traced := make(chan struct{}, 16)
	_, err := nc.Subscribe("traces", func(m *nats.Msg) {
		fmt.Fprintf(events, "%v %s", m.Header, m.Data)
		traced <- struct{}{}
	})
	check(t, err)
	if c.leaks.eavesdrop {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) { slog.Info("message", "header", m.Header) })
		check(t, err)
	}
	conn := must(waybillnats.New(c.auth, nc, waybillnats.Required(),
		waybillnats.TracerProvider(c.tracer), waybillnats.MeterProvider(c.meter)))
	streams := must(waybilljetstream.New(c.auth, js, waybilljetstream.Required(),
		waybilljetstream.TracerProvider(c.tracer), waybilljetstream.MeterProvider(c.meter)))
	stored := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: queue, Subjects: []string{queue}, Storage: jetstream.MemoryStorage}))
	cons := must(stored.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "canary", AckPolicy: jetstream.AckExplicitPolicy}))
	run, err := streams.Consume(t.Context(), cons, func(ctx context.Context, m jetstream.Msg) error {
		slog.InfoContext(ctx, "consumed", "header", m.Headers())
		c.canary.Check("the headers of a consumed message", m.Headers())
		if _, err := waybill.FromContext(ctx); err != nil {
			c.note(err)
		}
		done <- struct{}{}
		return nil
	})
	check(t, err)
	_, err = nc.Subscribe(subject, conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		slog.InfoContext(ctx, "asked", "header", m.Header)
		c.canary.Check("the headers of a NATS handler", m.Header)
		c.note(waybill.Update(ctx, Tenant.To("bus")))
		_, err := streams.Publish(ctx, sampled(queue))
		c.note(err)
		c.note(m.Respond([]byte("yes")))
	}))
	check(t, err)
	untraced := sampled(subject + ".nobody") // without a waybill: a trace event comes
	check(t, nc.PublishMsg(untraced))
	check(t, ended(traced))
	ask = func(ctx context.Context) error {
		reply, err := conn.Request(ctx, sampled(subject))
		if err != nil {
			return err
		}
		slog.InfoContext(ctx, "reply", "header", reply.Header)
		c.canary.Check("a reply", reply.Header)
		return nil
	}
	return ask, func() {
		run.Drain()
		<-run.Closed()
		check(t, nc.FlushTimeout(patience))
		cancel()
	}
}

// sampled is a message that asks for a trace.
func sampled(subject string) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Trace-Dest": {"traces"}, "X": {"1"}}}
}

// inspect looks for tokens in spans and metrics.
func (c *crossing) inspect() {
	names := map[string]bool{}
	for _, span := range c.spans.Ended() {
		names[span.InstrumentationScope().Name] = true
		where := "span " + span.Name()
		status := span.Status()
		c.canary.Check(where, span.Name(), status.Description, span.SpanContext().TraceState().String())
		c.attributes(where, span.Attributes())
		for _, e := range span.Events() {
			c.canary.Check(where, e.Name)
			c.attributes(where, e.Attributes)
		}
		for _, link := range span.Links() {
			c.attributes(where, link.Attributes)
		}
	}
	if len(names) < 4 {
		c.t.Errorf("spans of %v only, want those of otelhttp, otelhttptrace, otelgrpc and ours", names)
	}
	var data metricdata.ResourceMetrics
	check(c.t, c.reader.Collect(context.Background(), &data))
	text := must(json.Marshal(data))
	if !bytes.Contains(text, []byte("waybill.open")) || !bytes.Contains(text, []byte("rpc.")) {
		c.t.Errorf("the metrics lack ours or those of gRPC: %s", text)
	}
	c.canary.Check("the metrics", string(text))
}

func (c *crossing) attributes(where string, list []attribute.KeyValue) {
	for _, a := range list {
		c.canary.Check(where+", "+string(a.Key), a.Value.String())
	}
}

// note fails the test for an error in another goroutine.
func (c *crossing) note(err error) {
	if err != nil {
		c.t.Error(err)
	}
}
