package natstest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// outcome is a kind of message, and what happens to it.
type outcome struct {
	name   string
	reason string // of the refusal; "": it is handled
	cell   string // that the handler sees
	opts   []waybilljetstream.Option
	make   func(t *testing.T) sent
}

// sent is a message, and its receiver.
type sent struct {
	header  nats.Header
	auth    *waybill.Authority
	release func() // lets a held message go; nil: it is not held
}

// outcomes returns all kinds of messages.
func outcomes(t *testing.T) []outcome {
	ordinary := waybilltest.Authority(t, claims)
	later := waybilltest.Authority(t, claims, newClock(2*time.Hour).option())
	with := func(auth *waybill.Authority) func(*testing.T) sent {
		return func(t *testing.T) sent {
			return sent{header: nats.Header{"waybill": {token(t, ordinary, Cell.To("eu-3"), Seats.To(1))}}, auth: auth}
		}
	}
	none := func(*testing.T) sent { return sent{auth: ordinary} }
	list := []outcome{
		{name: "opened", cell: "eu-3", make: with(ordinary)},
		{name: "expired in the stream", cell: "eu-3", make: with(later)},
		{name: "absent", make: none},
		{name: "absent, required", reason: "absent", opts: []waybilljetstream.Option{waybilljetstream.Required()}, make: none},
		{name: "revoked", reason: "revoked", make: revoked},
		{name: "keys not loaded", cell: "eu-3", make: notLoaded},
		{name: "key arrives later", cell: "eu-3", make: func(t *testing.T) sent { return storeDown(t, true) }},
		{name: "key never arrives", reason: "unknown_key", make: func(t *testing.T) sent { return storeDown(t, false) }},
	}
	for _, r := range refusals(t) {
		if r.name == "absent" {
			continue
		}
		list = append(list, outcome{name: r.name, reason: r.reason,
			opts: []waybilljetstream.Option{waybilljetstream.RequireClaims(Seats)},
			make: func(t *testing.T) sent { return sent{header: r.header(t), auth: ordinary} }})
	}
	return list
}

func under(t *testing.T, key *keyring.Key) nats.Header {
	sender := newAuthority(t, ringOf(t, key))
	return nats.Header{"Waybill": {token(t, sender, Cell.To("eu-3"))}}
}

func revoked(t *testing.T) sent {
	key := generate(t)
	set, err := newSet(t, key, generate(t)).Revoke(key.ID(), time.Now(), "leaked")
	check(t, err)
	return sent{header: under(t, key), auth: newAuthority(t, keyring.NewRing(set))}
}

func notLoaded(t *testing.T) sent {
	key := generate(t)
	ring := keyring.NewRing(nil)
	return sent{header: under(t, key), auth: newAuthority(t, ring), release: func() { check(t, ring.Swap(newSet(t, key))) }}
}

// storeDown is a message whose key the ring lacks while its store is down. arrives says whether the
// store has the key afterwards.
func storeDown(t *testing.T, arrives bool) sent {
	key, other, src := generate(t), generate(t), newSource()
	src.set(newSet(t, other))
	src.reads <- struct{}{}
	ring := follow(t, src)
	src.down.Store(true)
	return sent{header: under(t, key), auth: newAuthority(t, ring), release: func() {
		if arrives {
			src.set(newSet(t, key, other))
		}
		src.down.Store(false)
		close(src.reads)
	}}
}

// The outcome is the same for all ways to consume. If the consumer does not acknowledge, a refused
// message is dropped.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	nc := connect(t, start(t))
	list := outcomes(t)
	rows := make([][]*cell, len(list))
	for i, o := range list {
		for j, w := range ways {
			rows[i] = append(rows[i], o.begin(t, newLane(t, nc, fmt.Sprintf("s%dx%d", i, j)), w))
		}
	}
	t.Cleanup(func() {
		for _, row := range rows {
			for _, c := range row {
				c.stop()
			}
		}
	})
	// Without signs of progress, the server would now have delivered every message for the last
	// time.
	time.Sleep(openWait + time.Second)
	for i, o := range list {
		t.Run(strings.NewReplacer(", ", "-", " ", "-").Replace(o.name), func(t *testing.T) {
			for _, c := range rows[i] {
				t.Run(c.way.name, c.end)
			}
		})
	}
}

// cell is one outcome with one way to consume.
type cell struct {
	outcome
	sent
	*lane
	way     way
	handled <-chan string
}

// begin publishes the message and consumes.
func (o outcome) begin(t *testing.T, l *lane, w way) *cell {
	c := &cell{outcome: o, sent: o.make(t), lane: l, way: w}
	c.handled = l.run(t, w, c.auth, o.opts...)
	c.publish(t, "m", c.header)
	return c
}

// end checks the outcome of the message, and of a second one.
func (c *cell) end(t *testing.T) {
	defer c.stop()
	if c.release != nil {
		c.wantHeld(t)
		c.release()
	}
	if want := "m " + c.cell + " 1"; c.reason == "" {
		if got := receive(t, c.handled, "the handler"); got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	if c.way.acks {
		want := "+ACK"
		if c.reason != "" {
			want = "+TERM waybill: " + c.reason
		}
		if got := c.answered(t); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	if c.reason != "" {
		dead := c.letter(t, 1)
		wantHeader(t, dead.Header, waybilljetstream.HeaderReason, c.reason)
	}
	c.follow(t)
	if n, _, err := c.parked.Pending(); n != 0 || err != nil {
		t.Errorf("%d messages are parked (%v), want none", n, err)
	}
}

// wantHeld fails the test unless the server got signs of progress, and nothing else.
func (c *cell) wantHeld(t *testing.T) {
	t.Helper()
	for n, _, _ := c.acks.Pending(); n > 0 || c.way.acks && n == 0; n, _, _ = c.acks.Pending() {
		if got := string(next(t, c.acks).Data); got != "+WPI" {
			t.Fatalf("answer %q while the message is held, want signs of progress only", got)
		}
		if n == 1 {
			break
		}
	}
	if n := len(c.handled); n != 0 {
		t.Fatalf("handled %d messages while one is held", n)
	}
	if n := stored(t, c.dead); n != 0 {
		t.Fatalf("%d dead letters while the message is held, want none", n)
	}
}

// letter waits for a dead letter. Without acknowledgements, nothing else shows that the message was
// refused.
func (c *cell) letter(t *testing.T, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		dead, err := c.dead.GetMsg(t.Context(), seq)
		if err == nil {
			return dead
		}
		if time.Now().After(end) {
			t.Fatalf("no dead letter %d: %v", seq, err)
		}
	}
}

// follow checks that the next message is judged, and no other message handled: refused and held
// messages block no others.
func (c *cell) follow(t *testing.T) {
	t.Helper()
	c.publish(t, "next", nil)
	letters := uint64(0)
	if c.reason != "" {
		letters++
	}
	if c.opts != nil { // demands what the next one lacks too
		letters++
		wantHeader(t, c.letter(t, letters).Header, waybilljetstream.HeaderReason, "absent")
	} else if got := receive(t, c.handled, "the next message"); got != "next  1" {
		t.Errorf("then handled %q, want %q", got, "next  1")
	}
	if n := stored(t, c.dead); n != letters {
		t.Errorf("%d dead letters, want %d", n, letters)
	}
	if n := len(c.handled); n != 0 {
		t.Errorf("handled %d messages more than expected", n)
	}
}
