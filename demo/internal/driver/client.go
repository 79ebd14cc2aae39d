package driver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/demo/services/lb"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Trouble is what travellers were told of, or noticed themselves.
type Trouble struct {
	Retries   atomic.Int64 // calls made again, by the travellers or the balancer
	Failed    atomic.Int64 // requests that were given up
	Misrouted atomic.Int64 // quotes asked of a cell that was not the journey's
	PaidTwice atomic.Int64 // journeys whose traveller clicked twice
}

// Client is the way to a lane, for any number of browsers.
type Client struct {
	lane    Lane
	url     *url.URL
	base    http.RoundTripper
	trouble *Trouble
	outage  outage
}

// NewClient returns the way to a lane by the balancer at a URL.
func NewClient(balancer *url.URL, lane Lane, trouble *Trouble) *Client {
	base := &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: 15 * time.Second}
	return &Client{lane: lane, url: balancer, base: otelhttp.NewTransport(base), trouble: trouble}
}

// Browser is a traveller's browser. One goroutine uses it.
type Browser struct {
	*Client
	Jar       *waybillhttp.Jar // nil if the browser holds cookies
	SetCookie []string         // the cookies that came, as they came
	http      http.Client
}

// Browser returns a browser that holds these cookies, or nothing.
func (c *Client) Browser(cookies ...*http.Cookie) (*Browser, error) {
	b := &Browser{Client: c, http: http.Client{Transport: c.base}}
	var err error
	if c.lane.cookies {
		b.http.Jar, _ = cookiejar.New(nil) // the error is always nil
		b.http.Jar.SetCookies(c.url, cookies)
	} else if b.Jar, err = waybillhttp.NewJar(c.base, c.url.String()); err == nil {
		b.http.Transport = b.Jar
	}
	return b, err
}

// Reply is what a step came to.
type Reply struct {
	Status  int
	Answer  gateway.Answer
	Retries int64  // by the traveller or the balancer
	Refusal string // why the gateway's edge did not let the request in, as it says so
	sent    ledger.Sent
}

// Post does a step, again and again until it is answered, at first soon, and later once a second, so
// that those who wait for a service do not keep it from coming back. To repeat a step is harmless:
// the journey and the step make the idempotency key.
func (b *Browser) Post(ctx context.Context, step string, q url.Values) (Reply, error) {
	var retries int64
	b.outage.asked()
	answered := false
	defer func() { b.outage.over(answered) }()
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		r, err := b.once(ctx, step, q)
		if err == nil && r.Status < 500 {
			answered = true
			r.Retries += retries
			return r, nil
		}
		if err == nil {
			err = fmt.Errorf("%s: status %d: %s", step, r.Status, r.Answer.Error)
		}
		if wait.For(ctx, delay) != nil {
			b.trouble.Failed.Add(1)
			return r, err
		}
		retries++
		b.trouble.Retries.Add(1)
	}
}

// Take does a step until it is done: while the answer is that it is not done yet, it asks again, and
// tells pending.
func (b *Browser) Take(ctx context.Context, step string, q url.Values, pending func(Reply)) (Reply, error) {
	for {
		r, err := b.Post(ctx, step, q)
		if err != nil || r.Status != http.StatusAccepted {
			return r, err
		}
		pending(r)
		if err := wait.For(ctx, 50*time.Millisecond); err != nil {
			return r, fmt.Errorf("%s: not done yet: %w", step, err)
		}
	}
}

func (b *Browser) once(ctx context.Context, step string, q url.Values) (Reply, error) {
	r := Reply{sent: ledger.Sent{At: time.Now()}}
	Part(Newest(b.Tokens()), 0, &r.sent) // the kid
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url.String()+b.lane.path+step+"?"+q.Encode(), nil)
	if err != nil {
		return r, err
	}
	res, err := b.http.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	b.SetCookie = append(b.SetCookie, res.Header["Set-Cookie"]...)
	var body struct {
		gateway.Answer
		Reason string // of a problem, RFC 9457
	}
	err = json.NewDecoder(res.Body).Decode(&body)
	r.Answer, r.Refusal = body.Answer, body.Reason
	if err != nil && res.StatusCode < 500 {
		return r, err // the balancer died in the middle of it: nothing was acknowledged
	}
	r.Status = res.StatusCode
	r.Retries, _ = strconv.ParseInt(res.Header.Get(lb.HeaderRetries), 10, 64)
	b.trouble.Retries.Add(r.Retries)
	if r.Status == http.StatusMisdirectedRequest {
		b.trouble.Misrouted.Add(1)
	}
	return r, nil
}

// Newest returns the last token, or "".
func Newest(tokens []string) string { return append([]string{""}, tokens...)[len(tokens)] }

// Tokens returns the waybill that the browser holds, if any. Requests at once may have left several.
func (b *Browser) Tokens() []string {
	if b.Jar != nil {
		return b.Jar.Tokens()
	}
	return gateway.Tokens(b.http.Jar.Cookies(b.url))
}

// Part reads one of a signed token's three parts, which hide nothing from the bearer.
func Part(token string, n int, into any) {
	if parts := strings.Split(token, "."); n < len(parts) {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[n])
		json.Unmarshal(raw, into)
	}
}
