package natstest

import (
	"context"
	"fmt"
	"log/slog"
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

// away returns an Authority whose ring knows these keys, and whose key store has been down since.
func away(t testing.TB, keys ...*keyring.Key) (*waybill.Authority, *source) {
	t.Helper()
	src := newSource()
	src.set(newSet(t, keys...))
	src.reads <- struct{}{}
	ring := follow(t, src)
	src.down.Store(true)
	return newAuthority(t, ring), src
}

// back lets the store return, with these keys.
func (s *source) back(set *keyring.Set) {
	s.set(set)
	s.down.Store(false)
	close(s.reads)
}

// fill stores n messages with the token of a key.
func (q *queue) fill(t testing.TB, key *keyring.Key, data string, n int) {
	t.Helper()
	auth := newAuthority(t, ringOf(t, key))
	stream := newStream(t, auth, q.js)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	for i := range n {
		_, err := stream.PublishAsync(ctx, &nats.Msg{Subject: "orders.new", Data: fmt.Append(nil, data, " ", i)})
		check(t, err)
	}
	select {
	case <-q.js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the stream does not store the messages")
	}
}

// become waits until a value is as wanted.
func become[T comparable](t testing.TB, what string, want T, value func() T) {
	t.Helper()
	var got T
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = value(); got == want {
			return
		}
	}
	t.Fatalf("%s: %v, want %v", what, got, want)
}

// letters returns a function that counts the dead letters.
func (q *queue) letters(t testing.TB) func() uint64 {
	return func() uint64 { return stored(t, q.dead) }
}

// pending limits the deliveries without an answer.
func pending(n int) func(*jetstream.ConsumerConfig) {
	return func(c *jetstream.ConsumerConfig) { c.MaxAckPending = n }
}

// While the key store is away, messages with unknown keys do not keep others waiting. The held ones
// are handled when their keys arrive, and Redrive handles the others.
func TestGarbageStopsNoConsumer(t *testing.T) {
	t.Parallel()
	for _, kids := range []int{1, 10} {
		t.Run(fmt.Sprint(kids, " kids"), func(t *testing.T) {
			t.Parallel()
			const garbage, good = 1000, 20
			q := newQueue(t)
			known := generate(t)
			keys := []*keyring.Key{known}
			auth, src := away(t, known)
			for range kids {
				key := generate(t)
				keys = append(keys, key)
				q.fill(t, key, "garbage", garbage/kids)
			}
			q.fill(t, known, "good", good)
			got := make(chan string, garbage+good)
			var log logBuffer
			begun := time.Now()
			handle := func(_ context.Context, m jetstream.Msg) error {
				got <- string(m.Data())
				return nil
			}
			provider, counted := count(t)
			q.consume(t, auth, q.consumer(t), handle, waybilljetstream.MeterProvider(provider),
				waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			for i := range good {
				if m := receive(t, got, "a good message"); m != fmt.Sprint("good ", i) {
					t.Fatalf("handled %q, want good %d", m, i)
				}
			}
			t.Logf("%d good messages behind %d with unknown keys took %v", good, garbage, time.Since(begun))
			held := min(kids*250, 500)
			become(t, "dead letters", uint64(garbage-held), q.letters(t))
			counted.want(t, "waybill.refuse", "undecided", int64(garbage-held))
			counted.want(t, "waybill.refuse", "unknown_key", 0)
			letter, err := q.dead.GetMsg(t.Context(), 1)
			check(t, err)
			wantHeader(t, letter.Header, waybilljetstream.HeaderReason, waybilljetstream.ReasonUndecided)
			if n := strings.Count(log.String(), "too many messages"); n != 1 {
				t.Errorf("the alarm is logged %d times, want once:\n%s", n, log.String())
			}

			src.back(newSet(t, keys...))
			for range held {
				receive(t, got, "a held message")
			}
			letters, err := q.dead.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
			check(t, err)
			run, err := newStream(t, auth, q.js).Redrive(t.Context(), letters, handle)
			check(t, err)
			for range garbage - held {
				receive(t, got, "a dead letter")
			}
			run.Stop()
			<-run.Closed()
			counted.want(t, "waybill.refuse", "unknown_key", 0)
		})
	}
}

// Held messages use half of MaxAckPending, and one key half of that.
func TestShareOfOneKey(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	known, a, b, c := generate(t), generate(t), generate(t), generate(t)
	auth, src := away(t, known)
	got := make(chan string, 16)
	q.consume(t, auth, q.consumer(t, pending(8)), delivered(t, got))
	q.fill(t, a, "a", 3)
	become(t, "dead letters", 1, q.letters(t))
	q.fill(t, b, "b", 2)
	q.fill(t, c, "c", 1)
	become(t, "dead letters", 2, q.letters(t))
	for seq, data := range []string{"a 2", "c 0"} {
		m, err := q.dead.GetMsg(t.Context(), uint64(seq+1))
		check(t, err)
		if string(m.Data) != data {
			t.Errorf("dead letter %q, want %q", m.Data, data)
		}
	}
	src.back(newSet(t, known, a, b, c))
	want := map[string]bool{"a 0 eu-3": true, "a 1 eu-3": true, "b 0 eu-3": true, "b 1 eu-3": true}
	for range 4 {
		if m := receive(t, got, "a held message"); !want[m] {
			t.Errorf("handled %q, want one of %v", m, want)
		}
	}
}

// Several replicas that hold messages leave room for others together as well.
func TestShareOfReplicas(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	known := generate(t)
	cons := q.consumer(t, pending(8))
	got := make(chan string, 8)
	for range 4 {
		auth, _ := away(t, known)
		stream := newStream(t, auth, q.js, waybilljetstream.DeadLetter("dead.orders"))
		run, err := stream.Consume(context.Background(), cons, delivered(t, got), jetstream.PullMaxMessages(1))
		check(t, err)
		t.Cleanup(func() {
			run.Stop()
			<-run.Closed()
		})
	}
	for i := range 10 {
		q.fill(t, generate(t), fmt.Sprint("garbage ", i), 1)
	}
	q.fill(t, known, "good", 1)
	if m := receive(t, got, "the good message"); m != "good 0 eu-3" {
		t.Errorf("handled %q, want the good message", m)
	}
}

// Without dead letters, messages beyond the share are delivered again later, as long as the server
// would do so. One at its last delivery is held: it would never be delivered again.
func TestCrowdWithoutDeadLetters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		maxDeliver int
		naks       int // of the second message
	}{{"unlimited", -1, 2}, {"two deliveries", 2, 1}, {"one delivery", 1, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			known, fresh := generate(t), generate(t)
			auth, src := away(t, known)
			cons := q.consumer(t, pending(4), func(cfg *jetstream.ConsumerConfig) { cfg.MaxDeliver = c.maxDeliver })
			got := make(chan string, 4)
			run, err := newStream(t, auth, q.js, waybilljetstream.AllowLoss()).Consume(context.Background(), cons,
				func(_ context.Context, m jetstream.Msg) error {
					got <- string(m.Data())
					return nil
				})
			check(t, err)
			t.Cleanup(run.Stop)
			q.fill(t, fresh, "fresh", 2)
			for i := range c.naks {
				if a, want := q.answered(t), fmt.Sprintf(`-NAK {"delay": %d}`, time.Second<<i); a != want {
					t.Errorf("answer %q, want %q", a, want)
				}
			}
			src.back(newSet(t, known, fresh))
			for range 2 {
				receive(t, got, "a message that was not decided")
			}
			for range 2 {
				if a := q.answered(t); a != "+ACK" {
					t.Errorf("answer %q, want %q", a, "+ACK")
				}
			}
		})
	}
}

// A ring that knows none of the first messages' keys is probably the wrong one: further messages
// are held, and the log says so once.
func TestWrongRing(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	right := generate(t)
	ring := ringOf(t, generate(t))
	var log logBuffer
	got := make(chan string, 32)
	q.consume(t, newAuthority(t, ring), q.consumer(t), delivered(t, got),
		waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	q.fill(t, right, "m", 30)
	for range 20 {
		if a := q.answered(t); a != "+TERM waybill: unknown_key" {
			t.Fatalf("answer %q, want a refusal", a)
		}
	}
	become(t, "messages left", 10, func() uint64 { return stored(t, q.orders) })
	if n := strings.Count(log.String(), "knows no key of the messages so far"); n != 1 {
		t.Errorf("the log says %d times that the ring is doubted, want once:\n%s", n, log.String())
	}
	check(t, ring.Swap(newSet(t, right)))
	for range 10 {
		receive(t, got, "a held message")
	}
	// From now on the ring is the right one, and strangers are refused.
	q.fill(t, generate(t), "stranger", 25)
	become(t, "dead letters", 45, q.letters(t))
}

// Even then, garbage does not stop the consumer: what is beyond the share is refused as decided.
func TestWrongRingHoldsAShare(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	known := generate(t)
	got := make(chan string, 1)
	q.consume(t, newAuthority(t, ringOf(t, known)), q.consumer(t, pending(8)), delivered(t, got))
	q.fill(t, generate(t), "garbage", 40)
	q.fill(t, known, "good", 1)
	if m := receive(t, got, "the good message"); m != "good 0 eu-3" {
		t.Errorf("handled %q, want the good message", m)
	}
	become(t, "dead letters", 40, q.letters(t)) // the ring has proved right
	m, err := q.dead.GetMsg(t.Context(), 30)
	check(t, err)
	wantHeader(t, m.Header, waybilljetstream.HeaderReason, "unknown_key")
}
