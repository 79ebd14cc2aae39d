package carriers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
)

// door is one transport as a stock client knocks at it.
type door struct {
	name, transport string
	statuses        map[waybill.Class]string

	// knock sends a request that must be refused, and returns what the client is told: the status, the reason, all of it.
	knock func(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (status, reason, all string)
}

// inNumbers are the statuses of HTTP, which NATS services use too.
func inNumbers(tooLarge string) map[waybill.Class]string {
	return map[waybill.Class]string{
		waybill.Unauthenticated: "401", waybill.Denied: "403", waybill.Invalid: "400", waybill.TooLarge: tooLarge, waybill.Unavailable: "503",
	}
}

// doors are the transports. A message of a stream is told nothing but its end, and not that if the fault is here: it is
// held then.
func doors(t *testing.T) []door {
	nc := broker(t)
	js, err := jetstream.New(nc)
	check(t, err)
	n := overNATS{nc}
	ended := map[waybill.Class]string{
		waybill.Unauthenticated: "term", waybill.Denied: "term", waybill.Invalid: "term", waybill.TooLarge: "term",
	}
	return []door{
		{"HTTP", "http", inNumbers("431"), knockHTTP},
		{"gRPC", "grpc", map[waybill.Class]string{
			waybill.Unauthenticated: "Unauthenticated", waybill.Denied: "PermissionDenied", waybill.Invalid: "InvalidArgument",
			waybill.TooLarge: "InvalidArgument", waybill.Unavailable: "Unavailable",
		}, knockGRPC},
		{"NATS request", "nats", inNumbers("400"), n.knockHandler},
		{"NATS micro", "nats", inNumbers("400"), n.knockMicro},
		{"JetStream", "jetstream", ended, overJetStream{js, t}.knock(nc)},
	}
}

// TestRefusals knocks at every door for every reason.
func TestRefusals(t *testing.T) {
	cases := refusals(t)
	wantAllReasons(t, cases)
	for _, d := range doors(t) {
		for _, c := range cases {
			want, told := d.statuses[c.class]
			if !told {
				continue
			}
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				m := counting()
				status, reason, all := d.knock(t, c.auth, c.values, m.MeterProvider)
				if status != want || reason != c.reason {
					t.Errorf("told %s, %q, want %s, %q", status, reason, want, c.reason)
				}
				for _, value := range c.values {
					for _, part := range strings.Split(value, ".") {
						if len(part) >= 8 && strings.Contains(all, part[:8]) {
							t.Errorf("told a part of the token: %s", all)
						}
					}
				}
				opened := c.reason
				if c.class == waybill.Denied {
					opened = "ok" // the token is good
				}
				m.want(t, "a refusal", map[string]int64{
					"waybill.open " + opened + " " + d.transport: 1, "waybill.refuse " + c.reason + " " + d.transport: 1,
				})
			})
		}
	}
}

// wantAllReasons checks that the cases leave out no reason that the module has.
func wantAllReasons(t *testing.T, cases []refusal) {
	t.Helper()
	source, err := os.ReadFile("../../../errors.go")
	check(t, err)
	all := regexp.MustCompile(`&refusal\{"(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(all) < 15 {
		t.Fatalf("found %d reasons, want the table of the root package", len(all))
	}
	for _, m := range all {
		if !slices.ContainsFunc(cases, func(c refusal) bool { return c.reason == m[1] }) {
			t.Errorf("no case for the reason %q", m[1])
		}
	}
}

func knockHTTP(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (status, reason, all string) {
	ours := must(waybillhttp.NewServer(auth, waybillhttp.RequireClaims(Tenant), waybillhttp.MeterProvider(m)))
	s := overHTTP{}.start(t.Context(), ours.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })))
	defer s.Close()
	r, err := http.NewRequest("GET", s.URL, nil)
	check(t, err)
	r.Header["Waybill"] = values
	resp, err := s.Client().Do(r)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	resp.Body.Close()
	var problem struct{ Reason string }
	if err := json.Unmarshal(body, &problem); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("body %q (%v), want problem+json", body, err)
	}
	return fmt.Sprint(resp.StatusCode), problem.Reason, fmt.Sprint(resp.Header, string(body))
}

func knockGRPC(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (code, reason, all string) {
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{waybill.Header: values})
	opts := must(waybillgrpc.NewServer(auth, waybillgrpc.RequireClaims(Tenant), waybillgrpc.MeterProvider(m))).ServerOptions()
	h, err := overGRPC{unary}.do(ctx, func(context.Context) error { t.Error("the handler ran"); return nil }, opts, nil)
	st := status.Convert(err)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == waybillgrpc.ErrorDomain {
			reason = info.Reason
		}
	}
	return st.Code().String(), reason, fmt.Sprint(h, st.Proto())
}

// told is what a reply of a NATS service tells a stock client.
func (o overNATS) told(t *testing.T, subject string, values []string) (status, reason, all string) {
	reply, err := o.nc.RequestMsg(&nats.Msg{Subject: subject, Header: nats.Header{"Waybill": values}}, patience)
	check(t, err)
	return reply.Header.Get(micro.ErrorCodeHeader), reply.Header.Get(waybillnats.HeaderReason), fmt.Sprint(reply.Header, string(reply.Data))
}

func (o overNATS) knockHandler(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (status, reason, all string) {
	subject := nats.NewInbox()
	ours := must(waybillnats.New(auth, o.nc, waybillnats.RequireClaims(Tenant), waybillnats.MeterProvider(m)))
	check(t, o.listen(subject, ours.Handler(func(context.Context, *waybillnats.Msg) { t.Error("the handler ran") })))
	return o.told(t, subject, values)
}

func (o overNATS) knockMicro(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (status, reason, all string) {
	svc, err := micro.AddService(o.nc, micro.Config{Name: "door", Version: "1.0.0"})
	check(t, err)
	subject := nats.NewInbox()
	ours := must(waybillnats.New(auth, o.nc, waybillnats.RequireClaims(Tenant), waybillnats.MeterProvider(m)))
	check(t, svc.AddEndpoint("door", ours.MicroHandler(func(context.Context, micro.Request) { t.Error("the handler ran") }),
		micro.WithEndpointSubject(subject)))
	check(t, o.nc.Flush())
	return o.told(t, subject, values)
}

// knock publishes, and listens to what the server announces of the message.
func (o overJetStream) knock(nc *nats.Conn) func(*testing.T, *waybill.Authority, []string, *metric.MeterProvider) (status, reason, all string) {
	return func(t *testing.T, auth *waybill.Authority, values []string, m *metric.MeterProvider) (status, reason, all string) {
		subject, cons, err := o.queue()
		check(t, err)
		announced, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + subject + ".>")
		check(t, err)
		ours := must(waybilljetstream.New(auth, o.js, waybilljetstream.RequireClaims(Tenant), waybilljetstream.MeterProvider(m)))
		run, err := ours.Consume(t.Context(), cons, func(context.Context, jetstream.Msg) error {
			t.Error("the handler ran")
			return nil
		})
		check(t, err)
		defer run.Stop()
		_, err = o.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: nats.Header{"Waybill": values}})
		check(t, err)
		msg, err := announced.NextMsg(patience)
		if err != nil {
			t.Fatalf("the message was not terminated: %v", err)
		}
		var advisory struct{ Reason string }
		check(t, json.Unmarshal(msg.Data, &advisory))
		reason, ok := strings.CutPrefix(advisory.Reason, "waybill: ")
		if !ok {
			t.Errorf("reason %q, want one of this module", advisory.Reason)
		}
		return "term", reason, string(msg.Data)
	}
}
