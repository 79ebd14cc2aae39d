package natstest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// batch opens the next messages of the queue, and returns their contexts.
func batch(t testing.TB, stream *waybilljetstream.JetStream, cons jetstream.Consumer,
	n int) (msgs []jetstream.Msg, parents []context.Context) {
	t.Helper()
	fetched, err := cons.Fetch(n, jetstream.FetchMaxWait(patience))
	check(t, err)
	for m := range fetched.Messages() {
		ctx, err := stream.Open(t.Context(), m)
		check(t, err)
		msgs, parents = append(msgs, m), append(parents, ctx)
	}
	check(t, fetched.Error())
	return msgs, parents
}

// A handler of a batch joins the messages' waybills into one new journey, or goes on without a
// waybill.
func TestBatch(t *testing.T) {
	q := newQueue(t)
	sender := waybilltest.Authority(t, claims)
	auth := waybilltest.Authority(t, claims, newClock(2*time.Hour).option()) // all have expired in the queue
	stream := newStream(t, auth, q.js)
	cons := q.consumer(t)
	for _, c := range []struct {
		name  string
		cells []string
		on    waybill.Disagreement
		cell  string
		err   error
	}{
		{"all agree", []string{"eu-3", "eu-3", "eu-3"}, waybill.RefuseDisagreement, "eu-3", nil},
		{"refused", []string{"eu-3", "eu-4", "eu-3"}, waybill.RefuseDisagreement, "", waybill.ErrDisagree},
		{"dropped", []string{"eu-3", "eu-4", "eu-3"}, waybill.DropDisagreement, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids := map[string]bool{}
			for i, cell := range c.cells {
				q.publish(t, sender, "", Cell.To(cell), Seats.To(i), Tags.To([]string{string(rune('a' + i))}))
			}
			msgs, parents := batch(t, stream, cons, len(c.cells))
			for _, p := range parents {
				wb, err := waybill.FromContext(p)
				check(t, err)
				ids[wb.ID()] = true
			}
			joint, err := auth.Join(t.Context(), c.on, parents...)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if err == nil {
				_, err = stream.Publish(joint, &nats.Msg{Subject: "dead.bulk"})
				check(t, err)
				wb := openLast(t, auth, q)
				cell, _ := Cell.Of(wb)
				seats, _ := Seats.Of(wb)
				tags, _ := Tags.Of(wb)
				if cell != c.cell || seats != 2 || !slices.Equal(tags, []string{"a", "b", "c"}) {
					t.Errorf("cell %q, seats %d, tags %q; want %q, 2, [a b c]", cell, seats, tags, c.cell)
				}
				if ids[wb.ID()] {
					t.Error("the bulk travels on the journey of one of its parents")
				}
			} else if !strings.Contains(err.Error(), `"cell"`) {
				t.Errorf("error %q, want one that names the claim", err)
			}
			for i, m := range msgs {
				check(t, stream.Settle(parents[i], m, err))
				if got := q.answered(t); (got == "+ACK") != (err == nil) {
					t.Errorf("answer %q after error %v", got, err)
				}
				if err != nil {
					check(t, q.orders.Purge(t.Context()))
				}
			}
		})
	}
}

// openLast opens the waybill of the last message in the stream of dead letters.
func openLast(t testing.TB, auth *waybill.Authority, q *queue) *waybill.Waybill {
	t.Helper()
	m, err := q.dead.GetLastMsgForSubject(t.Context(), "dead.bulk")
	check(t, err)
	wb, err := auth.Open(m.Header.Get("Waybill"))
	check(t, err)
	return wb
}
