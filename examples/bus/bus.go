// Package bus moves messages inside a process. It stands for the protocol of a transport that you write;
// package waybillbus is that transport.
package bus

import (
	"context"
	"fmt"
	"sync"
)

// Message is a request or an answer.
type Message struct {
	Header map[string][]string
	Body   []byte
}

// Handler answers requests. Its message and its error both reach the caller.
type Handler func(context.Context, *Message) (*Message, error)

// Conn is a connection. It is safe for concurrent use.
type Conn struct {
	mu       sync.RWMutex
	handlers map[string]func(*Message) (*Message, error)
}

// New returns a connection without subscriptions.
func New() *Conn { return &Conn{handlers: map[string]func(*Message) (*Message, error){}} }

// Subscribe calls h with ctx for each request to subject.
func (c *Conn) Subscribe(ctx context.Context, subject string, h Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[subject] = func(m *Message) (*Message, error) { return h(ctx, m) }
}

// Request sends m to the subject's handler and returns its message, which is never nil, and its error. A panic of the
// handler becomes an error.
func (c *Conn) Request(ctx context.Context, subject string, m *Message) (answer *Message, err error) {
	c.mu.RLock()
	h := c.handlers[subject]
	c.mu.RUnlock()
	if h == nil {
		return &Message{}, fmt.Errorf("bus: nobody listens to %q", subject)
	}
	if err := ctx.Err(); err != nil {
		return &Message{}, err
	}
	defer func() {
		if v := recover(); v != nil {
			answer, err = &Message{}, fmt.Errorf("bus: the handler of %q panicked: %v", subject, v)
		}
	}()
	if answer, err = h(m); answer == nil {
		answer = &Message{}
	}
	return answer, err
}
