// Package waybillbus carries waybills over the bus: in requests, and back in their answers.
package waybillbus

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/examples/bus"
)

// Conn sends and handles requests that carry waybills. It is safe for concurrent use.
type Conn struct {
	auth *waybill.Authority
	conn *bus.Conn
}

// New returns a Conn. Passing conn is the permission to send waybills to all of its subjects.
func New(auth *waybill.Authority, conn *bus.Conn) (*Conn, error) {
	if auth == nil || conn == nil {
		return nil, errors.New("waybillbus: New needs an Authority and a connection")
	}
	return &Conn{auth, conn}, nil
}

// Handler returns h with the waybill of each request in its context.
func (c *Conn) Handler(h bus.Handler) bus.Handler {
	return func(ctx context.Context, m *bus.Message) (*bus.Message, error) {
		ctx, hop := c.auth.Receive(ctx, m.Header[waybill.Header], m) // all values; m is the source
		seen := without(m)
		hop.Stripped(seen)
		if hop.Outermost() {
			defer hop.Discard() // after a refusal or a panic; no effect after Commit
		}
		if _, err := waybill.FromContext(ctx); err != nil && !errors.Is(err, waybill.ErrNoWaybill) {
			return nil, fmt.Errorf("waybillbus: request refused: %s", waybill.Reason(err))
		}
		answer, err := h(ctx, seen)
		answer = without(answer)
		if hop.Outermost() {
			if returned := hop.Commit(result(err)); returned != nil {
				answer.Header[waybill.HeaderReturn] = returned
			}
		}
		return answer, err
	}
}

// Request sends m with the waybill in ctx and merges the returned token. A rejected return is
// reported by [waybill.Lost] and does not change the result.
func (c *Conn) Request(ctx context.Context, subject string, m *bus.Message) (*bus.Message, error) {
	out := without(m)
	call, err := c.auth.Send(ctx) // approve the destination before this line
	switch {
	case err == nil:
		out.Header[waybill.Header] = []string{call.Token()}
	case errors.Is(err, waybill.ErrExpired):
		return nil, fmt.Errorf("waybillbus: not sent to %q: %w", subject, err)
	} // any other error: the request goes without a waybill
	answer, err := c.conn.Request(ctx, subject, out)
	if returned := answer.Header[waybill.HeaderReturn]; call != nil && len(returned) > 0 {
		call.Merge(returned, result(err)) // all values, in order
	}
	return without(answer), err
}

func result(err error) waybill.Result {
	if err != nil {
		return waybill.Failed
	}
	return waybill.Succeeded
}

// without returns a copy of m that has a header, but none of the waybill's.
func without(m *bus.Message) *bus.Message {
	out := &bus.Message{Header: map[string][]string{}}
	if m != nil {
		maps.Copy(out.Header, m.Header)
		out.Body = m.Body
	}
	delete(out.Header, waybill.Header)
	delete(out.Header, waybill.HeaderReturn)
	return out
}
