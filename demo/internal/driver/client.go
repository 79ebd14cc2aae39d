package driver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/demo/services/lb"
)

// Trouble is what travellers were told of, or noticed themselves.
type Trouble struct {
	Retries   atomic.Int64 // calls made again, by the travellers or the balancer
	Failed    atomic.Int64 // requests that were given up
	Misrouted atomic.Int64 // quotes asked of a cell that was not the journey's
	PaidTwice atomic.Int64 // journeys whose traveller clicked twice
}

// Client is a traveller's browser.
type Client struct {
	lane    Lane
	url     string
	http    *http.Client
	trouble *Trouble
	outage  outage
}

// NewClient returns a browser for the balancer at a URL.
func NewClient(url string, lane Lane, trouble *Trouble) *Client {
	base := &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: 15 * time.Second}
	return &Client{lane: lane, url: url, http: &http.Client{Transport: otelhttp.NewTransport(base)}, trouble: trouble}
}

// Reply is what a step came to.
type Reply struct {
	Status  int
	Answer  gateway.Answer
	Update  string // what the browser keeps from now on; empty if it is the same
	Retries int64  // by the traveller or the balancer
	Refusal string // why the gateway's middleware did not let the request in, as it says so
	sent    ledger.Sent
}

// Post does a step, again and again with the same token until it is answered, at first soon, and
// later once a second, so that those who wait for a service do not keep it from coming back. To
// repeat a step is harmless: the token and the step make the idempotency key.
func (c *Client) Post(ctx context.Context, step string, q url.Values, token string) (Reply, error) {
	var retries int64
	c.outage.asked()
	answered := false
	defer func() { c.outage.over(answered) }()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		r, err := c.once(ctx, step, q, token)
		if err == nil && r.Status < 500 {
			answered = true
			r.Retries += retries
			return r, nil
		}
		if err == nil {
			err = fmt.Errorf("%s: status %d: %s", step, r.Status, r.Answer.Error)
		}
		if pause(ctx, wait) != nil {
			c.trouble.Failed.Add(1)
			return r, err
		}
		retries++
		c.trouble.Retries.Add(1)
	}
}

// Take does a step until it is done: while the answer is that it is not done yet, it asks again
// with the token of that answer, and tells pending.
func (c *Client) Take(ctx context.Context, step string, q url.Values, token string, pending func(Reply)) (Reply, error) {
	for {
		r, err := c.Post(ctx, step, q, token)
		if err != nil || r.Status != http.StatusAccepted {
			return r, err
		}
		pending(r)
		if r.Update != "" {
			token = r.Update
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return r, fmt.Errorf("%s: not done yet: %w", step, err)
		}
	}
}

func (c *Client) once(ctx context.Context, step string, q url.Values, token string) (Reply, error) {
	r := Reply{sent: ledger.Sent{KID: keyID(token), At: time.Now()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+c.lane.path+step+"?"+q.Encode(), nil)
	if err != nil {
		return r, err
	}
	if token != "" {
		c.lane.send(req.Header, token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	var body struct {
		gateway.Answer
		Reason string // of a problem, RFC 9457
	}
	err = json.NewDecoder(res.Body).Decode(&body)
	r.Answer, r.Refusal = body.Answer, body.Reason
	if err != nil && res.StatusCode < 500 {
		return r, err // the balancer died in the middle of it: nothing was acknowledged
	}
	r.Status, r.Update = res.StatusCode, c.lane.keep(res.Header, token)
	r.Retries, _ = strconv.ParseInt(res.Header.Get(lb.HeaderRetries), 10, 64)
	c.trouble.Retries.Add(r.Retries)
	if r.Status == http.StatusMisdirectedRequest {
		c.trouble.Misrouted.Add(1)
	}
	return r, nil
}

// keyID reads the kid of a token. A signed token hides nothing from its bearer.
func keyID(token string) string {
	head, _, _ := strings.Cut(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	var h struct{ Kid string }
	json.Unmarshal(raw, &h)
	return h.Kid
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
