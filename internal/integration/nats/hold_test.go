package natstest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// ackWait is short enough to pass several times while a test holds a message.
const ackWait = time.Second

// impatient is a consumer that parks a message for ever if it is delivered twice and not
// acknowledged.
func impatient(c *jetstream.ConsumerConfig) { c.AckWait, c.MaxDeliver = ackWait, 2 }

// outlive waits for signs of progress over twice the time after which the server would deliver the
// message again.
func (q *queue) outlive(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(2 * ackWait); time.Now().Before(end); {
		if got := string(next(t, q.acks).Data); got != "+WPI" {
			t.Fatalf("answer %q while the message is held, want signs of progress only", got)
		}
	}
}

// generate returns a key that issues now.
func generate(t testing.TB) *keyring.Key {
	t.Helper()
	now := time.Now()
	times := keyring.Times{Created: now, NotBefore: now, Expires: now.Add(24 * time.Hour)}
	key, err := keyring.Generate(keyring.Signed, times)
	check(t, err)
	return key
}

func newSet(t testing.TB, keys ...*keyring.Key) *keyring.Set {
	t.Helper()
	set, err := keyring.NewSet(waybilltest.Domain, keys...)
	check(t, err)
	return set
}

func ringOf(t testing.TB, keys ...*keyring.Key) *keyring.Ring {
	t.Helper()
	return keyring.NewRing(newSet(t, keys...))
}

func newAuthority(t testing.TB, ring *keyring.Ring) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New(waybilltest.Domain, ring, claims)
	check(t, err)
	return auth
}

// delivered returns a handler that tells which delivery of which message it got.
func delivered(t testing.TB, to chan<- string) handler {
	return func(ctx context.Context, m jetstream.Msg) error {
		meta, err := m.Metadata()
		note(t, err)
		if meta.NumDelivered != 1 {
			t.Errorf("%s is delivered %d times, want once", m.Data(), meta.NumDelivered)
		}
		cell, _ := Cell.Get(ctx)
		to <- string(m.Data()) + " " + cell
		return nil
	}
}

// While the keys are not loaded, all messages are held at the same time, and no delivery is used
// up.
func TestHeldUntilLoaded(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	set := newSet(t, generate(t))
	sender := newAuthority(t, keyring.NewRing(set))
	ring := keyring.NewRing(nil)
	provider, counted := count(t)
	got := make(chan string, 8)
	q.consume(t, newAuthority(t, ring), q.consumer(t, impatient), delivered(t, got),
		waybilljetstream.MeterProvider(provider))
	for range 4 {
		q.publish(t, sender, "m", Cell.To("eu-3"))
	}
	q.outlive(t)
	if n := len(got); n != 0 {
		t.Fatalf("%d messages handled without keys", n)
	}
	check(t, ring.Swap(set))
	for range 4 {
		if m := receive(t, got, "a held message"); m != "m eu-3" {
			t.Errorf("handled %q, want %q", m, "m eu-3")
		}
		if a := q.answered(t); a != "+ACK" {
			t.Errorf("answer %q, want %q", a, "+ACK")
		}
	}
	counted.want(t, "waybill.open", "no_key", 4)
	counted.want(t, "waybill.open", "ok", 4)
}

// source is a key store whose reads a test lets through one by one.
type source struct {
	reads chan struct{}
	data  atomic.Pointer[[]byte]
	down  atomic.Bool
}

func (s *source) Load(ctx context.Context) (keyring.Blob, error) {
	select {
	case <-s.reads:
	case <-ctx.Done():
		return keyring.Blob{}, ctx.Err()
	}
	if s.down.Load() {
		return keyring.Blob{}, errors.New("the store is down")
	}
	return keyring.Blob{Data: *s.data.Load()}, nil
}

func (s *source) Nudges(context.Context) <-chan struct{} { return nil }

func (s *source) set(set *keyring.Set) {
	data := set.SecretJWKS()
	s.data.Store(&data)
}

func newSource() *source { return &source{reads: make(chan struct{}, 1)} }

// follow opens a ring over a source until the test ends.
func follow(t testing.TB, src *source) *keyring.Ring {
	ring, err := keyring.Follow(t.Context(), src, keyring.Poll(20*time.Millisecond))
	check(t, err)
	t.Cleanup(func() { check(t, ring.Close()) })
	return ring
}

// A message with a key that the ring may not know yet is held, and blocks no other message. A
// message with a key that the ring should know by now is refused.
func TestHeldUntilConfirmed(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	known, fresh, never := generate(t), generate(t), generate(t)
	src := newSource()
	src.set(newSet(t, known))
	src.reads <- struct{}{}
	ring := follow(t, src)
	got := make(chan string, 8)
	advisories := listen(t, q.nc, terminated)
	q.consume(t, newAuthority(t, ring), q.consumer(t, impatient), delivered(t, got))

	q.publish(t, newAuthority(t, ringOf(t, fresh)), "fresh", Cell.To("eu-3"))
	q.publish(t, newAuthority(t, ringOf(t, never)), "never", Cell.To("eu-4"))
	q.publish(t, newAuthority(t, ringOf(t, known)), "known", Cell.To("eu-5"))
	if m := receive(t, got, "the message that is not held"); m != "known eu-5" {
		t.Errorf("first handled %q, want %q", m, "known eu-5")
	}
	if a := q.answered(t); a != "+ACK" {
		t.Errorf("answer %q, want %q", a, "+ACK")
	}
	src.down.Store(true) // the store is down: what is not known may be new
	src.reads <- struct{}{}
	q.outlive(t)

	src.down.Store(false)
	src.set(newSet(t, known, fresh))
	close(src.reads) // from now on, every read succeeds
	if m := receive(t, got, "the held message"); m != "fresh eu-3" {
		t.Errorf("then handled %q, want %q", m, "fresh eu-3")
	}
	if a, want := nextAdvisory(t, advisories), (advisory{2, "waybill: unknown_key"}); a != want {
		t.Errorf("advisory %+v, want %+v", a, want)
	}
}

// A ring that was confirmed when the message was stored may have been read before, because clocks
// differ. The key may still arrive.
func TestHeldForTheMargin(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	key, other, src := generate(t), generate(t), newSource()
	src.set(newSet(t, other))
	close(src.reads) // every read succeeds
	ring := follow(t, src)
	got := make(chan string, 1)
	q.consume(t, newAuthority(t, ring), q.consumer(t), delivered(t, got))
	q.publish(t, newAuthority(t, ringOf(t, key)), "m", Cell.To("eu-3"))
	published := time.Now()
	for !ring.ConfirmedSince(published) {
		time.Sleep(time.Millisecond)
	}
	if a := string(next(t, q.acks).Data); a != "+WPI" {
		t.Fatalf("answer %q, want a sign of progress", a)
	}
	src.set(newSet(t, key, other))
	if m := receive(t, got, "the held message"); m != "m eu-3" {
		t.Errorf("handled %q, want %q", m, "m eu-3")
	}
}

// A message at its last delivery is held like any other, and neither parked nor terminated.
func TestHeldAtTheLastDelivery(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	key, ring := generate(t), keyring.NewRing(nil)
	parked := listen(t, q.nc, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
	q.publish(t, newAuthority(t, ringOf(t, key)), "m", Cell.To("eu-3"))
	cons := q.consumer(t, func(c *jetstream.ConsumerConfig) { c.AckWait, c.MaxDeliver = ackWait, 3 })
	for range 2 {
		m, err := cons.Next(jetstream.FetchMaxWait(patience))
		check(t, err)
		check(t, m.Nak())
		if got := q.answered(t); got != "-NAK" {
			t.Fatalf("answer %q, want %q", got, "-NAK")
		}
	}
	last := make(chan uint64, 1)
	q.consume(t, newAuthority(t, ring), cons, func(_ context.Context, m jetstream.Msg) error {
		meta, err := m.Metadata()
		last <- meta.NumDelivered
		return err
	}, waybilljetstream.DeadLetter("dead.orders"))
	q.outlive(t)
	check(t, ring.Swap(newSet(t, key)))
	if n := receive(t, last, "the held message"); n != 3 {
		t.Errorf("delivery %d, want 3", n)
	}
	if got := q.answered(t); got != "+ACK" {
		t.Errorf("answer %q, want %q", got, "+ACK")
	}
	if n, _, err := parked.Pending(); n != 0 || err != nil {
		t.Errorf("%d messages are parked (%v), want none", n, err)
	}
}

// A message that was stored ahead of this node's clock is held until the clock gets there.
func TestHeldForTheClock(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	now := newClock(-time.Hour)
	auth := waybilltest.Authority(t, claims, now.option())
	got := make(chan string, 1)
	q.consume(t, auth, q.consumer(t, impatient), delivered(t, got))
	q.publish(t, waybilltest.Authority(t, claims), "m", Cell.To("eu-3"))
	q.outlive(t)
	now.set(0)
	if m := receive(t, got, "the held message"); m != "m eu-3" {
		t.Errorf("handled %q, want %q", m, "m eu-3")
	}
}

// Open also holds messages. When its context ends, the message is neither Nak'ed nor terminated.
func TestOpenHolds(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	set := newSet(t, generate(t))
	ring := keyring.NewRing(nil)
	stream := newStream(t, newAuthority(t, ring), q.js, waybilljetstream.DeadLetter("dead.orders"))
	q.publish(t, newAuthority(t, keyring.NewRing(set)), "", Cell.To("eu-3"))
	cons := q.consumer(t)
	m, err := cons.Next()
	check(t, err)

	ending, cancel := context.WithCancel(t.Context())
	type opened struct {
		ctx context.Context
		err error
	}
	open := func(ctx context.Context) <-chan opened {
		done := make(chan opened, 1)
		go func() {
			ctx, err := stream.Open(ctx, m)
			done <- opened{ctx, err}
		}()
		return done
	}
	done := open(ending)
	if got := string(next(t, q.acks).Data); got != "+WPI" {
		t.Errorf("answer %q, want a sign of progress", got)
	}
	cancel()
	o := receive(t, done, "Open")
	if !errors.Is(o.err, waybill.ErrNoKey) {
		t.Errorf("error %v, want %v", o.err, waybill.ErrNoKey)
	}
	check(t, stream.Settle(o.ctx, m, o.err))
	if got := string(next(t, q.acks).Data); got != "+WPI" {
		t.Errorf("answer of Settle %q, want a sign of progress", got)
	}
	q.quiet(t)

	done = open(t.Context())
	if got := string(next(t, q.acks).Data); got != "+WPI" {
		t.Errorf("answer %q, want a sign of progress", got)
	}
	check(t, ring.Swap(set))
	o = receive(t, done, "Open")
	check(t, o.err)
	if cell, _ := Cell.Get(o.ctx); cell != "eu-3" {
		t.Errorf("cell %q, want %q", cell, "eu-3")
	}
}

// Messages that are held when consuming ends are left to the server.
func TestHoldEndsWithConsuming(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	set := newSet(t, generate(t))
	ring := keyring.NewRing(nil)
	auth := newAuthority(t, ring)
	cons := q.consumer(t, impatient)
	run := q.consume(t, auth, cons, func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs after the end")
		return nil
	})
	q.publish(t, newAuthority(t, keyring.NewRing(set)), "m", Cell.To("eu-3"))
	if got := string(next(t, q.acks).Data); got != "+WPI" {
		t.Errorf("answer %q, want a sign of progress", got)
	}
	run.Stop()
	<-run.Closed()
	// The server delivers it again only after the signs of progress stop.
	m, err := cons.Next(jetstream.FetchMaxWait(patience))
	check(t, err)
	meta, err := m.Metadata()
	check(t, err)
	if meta.NumDelivered != 2 {
		t.Errorf("delivery %d, want 2", meta.NumDelivered)
	}
}
