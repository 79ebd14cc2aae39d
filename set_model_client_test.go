package waybill_test

import (
	"math/rand/v2"
	"slices"
)

// modelCookie is a token that a client holds. A header client holds each token under the token
// itself.
type modelCookie struct{ name, token string }

// modelClient is a client of an edge: a header client, or a browser with a cookie jar. It does what
// the rule says: send every token you hold; the token of an answer replaces those that its request
// carried.
type modelClient struct {
	cookies bool
	held    []modelCookie
	expired []string // names of which the expiry comes later, because an answer was applied by half
	rule    modelRule
}

// modelRule is a wrong rule of a client, which the model must find.
type modelRule int

const (
	rightRule    modelRule = iota
	lastAnswer             // the client keeps the last answer only
	expireFirst            // the cookies of the request expire first; then the new one is set
	appliedTwice           // an answer is stored and applied again later
)

// snapshot returns what a request carries.
func (c *modelClient) snapshot() []modelCookie { return slices.Clone(c.held) }

func tokensOf(held []modelCookie) (tokens []string) {
	for _, h := range held {
		tokens = append(tokens, h.token)
	}
	return tokens
}

// apply applies an answer to a request that carried these cookies. If half, what the answer expires
// goes later.
func (c *modelClient) apply(carried []modelCookie, a modelAnswer, half bool) {
	if a.token == "" && !a.forget {
		return
	}
	name := a.name
	if !c.cookies {
		name = a.token
	}
	if c.rule == lastAnswer && a.token != "" {
		c.held = []modelCookie{{name, a.token}}
		return
	}
	var names []string
	for _, h := range carried {
		if h.name != name {
			names = append(names, h.name)
		}
	}
	switch {
	case c.rule == expireFirst && half:
		c.expire(names)
		return // the new cookie is lost
	case a.token != "":
		c.set(modelCookie{name, a.token})
	}
	if half && c.cookies {
		c.expired = append(c.expired, names...)
	} else {
		c.expire(names)
	}
}

func (c *modelClient) set(h modelCookie) {
	for i := range c.held {
		if c.held[i].name == h.name {
			c.held[i] = h
			return
		}
	}
	c.held = append(c.held, h)
}

func (c *modelClient) expire(names []string) {
	c.held = slices.DeleteFunc(c.held, func(h modelCookie) bool { return slices.Contains(names, h.name) })
}

// finish applies some of the expiries that are left.
func (c *modelClient) finish(r *rand.Rand) {
	for range min(len(c.expired), 1+r.IntN(4)) {
		i := r.IntN(len(c.expired))
		c.expire(c.expired[i : i+1])
		c.expired = slices.Delete(c.expired, i, i+1)
	}
}
