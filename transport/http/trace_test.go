package waybillhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// traceLog is a client trace that records the headers it sees.
type traceLog struct {
	mu     sync.Mutex
	fields map[string]string
	conns  int
}

func (l *traceLog) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.conns++
		},
		WroteHeaderField: func(key string, values []string) { l.add(key, values) },
		Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
			for key, values := range header {
				l.add("1xx "+key, values)
			}
			return nil
		},
	}
}

func (l *traceLog) add(key string, values []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fields == nil {
		l.fields = map[string]string{}
	}
	l.fields[strings.ToLower(key)] = fmt.Sprint(values)
}

// Client traces see no token: neither a trace in the request's context, nor one that a layer above
// Redacted adds. Their other hooks run once.
func TestTracesSeeNoToken(t *testing.T) {
	for _, p := range protocols {
		for _, where := range []string{"context", "base"} {
			t.Run(p.name+"/"+where, func(t *testing.T) {
				auth, got := authority(t), &seen{}
				forged := issue(t, auth)
				s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got.ServeHTTP(w, r)
					w.Header().Set(returnKey, forged)
					w.Header().Set("Link", "</a>")
					w.WriteHeader(103)
				}))
				var log traceLog
				ctx := waybilltest.Context(t, auth)
				rt := base(t, s)
				if where == "context" {
					ctx = httptrace.WithClientTrace(ctx, log.trace())
				} else {
					below := waybillhttp.Redacted(rt)
					rt = roundTrip(func(r *http.Request) (*http.Response, error) {
						return below.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), log.trace())))
					})
				}
				tr := must(waybillhttp.NewTransport(auth, rt, waybillhttp.AllowHosts(host(s))))
				r := request(t, ctx, "GET", s.URL)
				r.Header.Set("X-Theirs", "1")
				do(t, &http.Client{Transport: tr}, r)
				s.Close()
				for key, want := range map[string]string{
					"waybill": "[[redacted]]", "waybill-hop": "[1]", "x-theirs": "[1]", "1xx waybill-update": "[[redacted]]", "1xx link": "[</a>]",
				} {
					if log.fields[key] != want {
						t.Errorf("the trace sees %s %s, want %s", key, log.fields[key], want)
					}
				}
				if n := len(got.all()); n != 1 || log.conns != 1 {
					t.Errorf("the server got %d tokens, GotConn ran %d times; want 1 and 1", n, log.conns)
				}
			})
		}
	}
}

// Without a trace, Redacted passes requests on as they are.
func TestRedactedWithoutATrace(t *testing.T) {
	s := serve(t, http.NotFoundHandler())
	idle := 0
	rt := waybillhttp.Redacted(&closer{base(t, s).RoundTrip, &idle})
	r := request(t, t.Context(), "GET", s.URL)
	resp, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	(&http.Client{Transport: rt}).CloseIdleConnections()
	if resp.Request != r || idle != 1 {
		t.Errorf("the response's request is the caller's: %v, CloseIdleConnections ran %d times; want true and 1", resp.Request == r, idle)
	}
	if _, err := waybillhttp.Redacted(nil).RoundTrip(&http.Request{Method: "GET"}); err == nil {
		t.Error("a request without a URL: got no error, want the default transport's")
	}
}
