package driver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/demo/services/lb"
)

// Trouble is what travellers were told of, or noticed themselves.
type Trouble struct {
	Cut       atomic.Int64 // calls whose callee died while it was answering, at any hop
	Retries   atomic.Int64 // calls made again, at any hop
	Misrouted atomic.Int64 // quotes asked of a cell that was not the journey's
	PaidTwice atomic.Int64 // journeys whose traveller clicked twice
}

// client is a traveller's browser.
type client struct {
	url     string
	http    *http.Client
	trouble *Trouble
}

func newClient(url string, trouble *Trouble) *client {
	base := &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: 15 * time.Second}
	return &client{url: url, http: &http.Client{Transport: otelhttp.NewTransport(base)}, trouble: trouble}
}

// reply is what a step came to.
type reply struct {
	status int
	answer gateway.Answer
	update string // the waybill from now on; empty if it is the same
	sent   ledger.Sent
}

// post does a step, again and again with the same token until it is answered. To repeat it is harmless: the token and
// the step make the idempotency key.
func (c *client) post(ctx context.Context, step string, q url.Values, token string) (reply, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		r, err := c.once(ctx, step, q, token)
		if err == nil && r.status < 500 {
			return r, nil
		}
		if err == nil {
			err = fmt.Errorf("%s: status %d: %s", step, r.status, r.answer.Error)
		}
		c.trouble.Retries.Add(1)
		if pause(ctx, wait) != nil {
			return r, err
		}
	}
}

func (c *client) once(ctx context.Context, step string, q url.Values, token string) (reply, error) {
	r := reply{sent: ledger.Sent{KID: keyID(token), At: time.Now()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/"+step+"?"+q.Encode(), nil)
	if err != nil {
		return r, err
	}
	if token != "" {
		req.Header.Set(waybill.Header, token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "dial" {
			c.trouble.Cut.Add(1)
		}
		return r, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&r.answer); err != nil && res.StatusCode < 500 {
		c.trouble.Cut.Add(1) // the balancer died in the middle of it: nothing was acknowledged
		return r, err
	}
	r.status, r.update = res.StatusCode, res.Header.Get(waybill.HeaderUpdate)
	c.trouble.Retries.Add(number(res.Header, lb.HeaderRetries) + r.answer.Cut)
	c.trouble.Cut.Add(number(res.Header, lb.HeaderCut) + r.answer.Cut)
	if r.status == http.StatusMisdirectedRequest {
		c.trouble.Misrouted.Add(1)
	}
	return r, nil
}

func number(h http.Header, name string) int64 {
	n, _ := strconv.ParseInt(h.Get(name), 10, 64)
	return n
}

// keyID reads the kid of a token. A signed token hides nothing from whoever carries it.
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
