package waybill_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
)

// visitor is a client of an edge: it sends every token that it holds, and the token of an answer replaces
// the ones that its request carried.
type visitor struct {
	t     *testing.T
	auth  *waybill.Authority
	start []waybill.Change // nil: the edge is lazy
	idle  time.Duration
	holds []string
}

// visiting is one request of a visitor.
type visiting struct {
	v       *visitor
	carried []string
	ctx     context.Context
	hop     waybill.Hop
}

func (v *visitor) send() *visiting {
	v.t.Helper()
	r := &visiting{v: v, carried: slices.Clone(v.holds)}
	r.ctx, r.hop = v.auth.ReceiveClient(v.t.Context(), waybill.Client{Tokens: r.carried, Idle: v.idle})
	if r.hop.Vacant() && waybill.ClassOf(r.hop.Err()) != waybill.Unavailable {
		var err error
		if v.start == nil {
			err = r.hop.Provide()
		} else {
			_, err = v.auth.Start(r.ctx, v.start...)
		}
		if err != nil {
			v.t.Fatal(err)
		}
	}
	return r
}

// answer ends the request and returns what the client got.
func (r *visiting) answer() []string {
	tokens := r.hop.Commit(waybill.Succeeded)
	if len(tokens) == 0 {
		return tokens
	}
	r.v.holds = slices.DeleteFunc(r.v.holds, func(token string) bool { return slices.Contains(r.carried, token) })
	if tokens[0] != "" {
		r.v.holds = append(r.v.holds, tokens[0])
	}
	return tokens
}

// change is a request that changes claims.
func (v *visitor) change(changes ...waybill.Change) *visiting {
	v.t.Helper()
	r := v.send()
	change(v.t, r.ctx, changes...)
	return r
}

func (v *visitor) visit(changes ...waybill.Change) { v.change(changes...).answer() }

// wantState compares the application's claims, sorted by name.
func wantState(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(now(t, ctx).Payload(), &claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aud", "sid", "iat", "exp", "end", "bas", "rev", "has", "was", "upd", "sup"} {
		delete(claims, name)
	}
	got, err := json.Marshal(claims)
	if err != nil || string(got) != want {
		t.Errorf("claims: got %s, want %s", got, want)
	}
}

func TestVisitParallelChanges(t *testing.T) {
	for _, shape := range shapes {
		v := &visitor{t: t, auth: authority(t, shape.opt), start: []waybill.Change{Cell.To("eu")}}
		v.visit()
		a, b, c := v.change(Seats.To(2)), v.change(Stamp.To("x")), v.change(Seats.To(5))
		a.answer()
		c.answer()
		b.answer()
		if len(v.holds) != 3 {
			t.Fatalf("the client holds %d tokens, want 3", len(v.holds))
		}
		r := v.send()
		wantState(t, r.ctx, `{"cell":"eu","seats":5,"stamp":"x"}`)
		if got := r.answer(); len(got) != 1 || len(v.holds) != 1 {
			t.Fatalf("the merge answers %d tokens, and the client holds %d", len(got), len(v.holds))
		}
		if again := v.send(); again.answer() != nil {
			t.Error("a request that changes nothing is answered with a token")
		}
	}
}

func TestVisitLazy(t *testing.T) {
	v := &visitor{t: t, auth: authority(t)}
	v.visit()
	if len(v.holds) != 0 {
		t.Fatal("a lazy edge began a journey without claims")
	}
	a, b := v.change(Cell.To("eu")), v.change(Stamp.To("x"))
	a.answer()
	b.answer()
	r := v.send()
	wantState(t, r.ctx, `{"cell":"eu","stamp":"x"}`)
	r.answer()
	v.holds = []string{"rubbish"}
	if got := v.send().answer(); len(got) != 1 || got[0] != "" || len(v.holds) != 0 {
		t.Errorf("after rubbish: got %q, the client holds %q", got, v.holds)
	}
}

func TestEndAndBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, auth: authority(t), start: []waybill.Change{Cell.To("eu")}}
		v.visit(Seats.To(3))
		slow := v.change(Stamp.To("slow"))
		out := v.send()
		if err := waybill.End(out.ctx); err != nil {
			t.Fatal(err)
		}
		if _, ok := Cell.Get(out.ctx); ok {
			t.Error("the handler sees the old journey after End")
		}
		out.answer()
		slow.answer()
		if len(v.holds) != 2 {
			t.Fatalf("the client holds %d tokens, want 2", len(v.holds))
		}
		r := v.send()
		wantState(t, r.ctx, `{"cell":"eu"}`)
		if !waybill.Began(r.ctx) {
			t.Error("start after End: Began is false")
		}
		sid := now(t, r.ctx).ID()
		r.answer()
		in := v.send()
		if err := waybill.Begin(in.ctx, Seats.To(1)); err != nil {
			t.Fatal(err)
		}
		in.answer()
		r = v.send()
		wantState(t, r.ctx, `{"seats":1}`)
		if now(t, r.ctx).ID() == sid {
			t.Error("Begin keeps the sid")
		}
		slow = v.change(Cell.To("slow"))
		out, late := v.send(), v.change(Seats.To(9))
		if err := waybill.Begin(out.ctx, Seats.To(2)); err != nil {
			t.Fatal(err)
		}
		slow.answer()
		out.answer()
		v.visit(Price.To(7))
		late.answer()
		r = v.send()
		wantState(t, r.ctx, `{"price":7,"seats":2}`)
	})
}

func TestVisitIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, auth: authority(t), start: []waybill.Change{Cell.To("eu")}, idle: 2 * time.Hour}
		v.visit(Seats.To(3))
		sid := ""
		for _, idle := range []time.Duration{16 * time.Minute, 119 * time.Minute} {
			time.Sleep(idle)
			r := v.send()
			wantState(t, r.ctx, `{"cell":"eu","seats":3}`)
			if id := now(t, r.ctx).ID(); sid == "" {
				sid = id
			} else if id != sid {
				t.Errorf("after %v: another sid", idle)
			}
			if r.answer() == nil {
				t.Errorf("after %v: no renewal", idle)
			}
		}
		time.Sleep(136 * time.Minute)
		r := v.send()
		wantState(t, r.ctx, `{"cell":"eu"}`)
		previous, why := waybill.Previous(r.ctx)
		if seats, ok := Seats.Of(previous); !ok || seats != 3 || previous.ID() != sid {
			t.Errorf("Previous: got %v", previous)
		}
		wantIs(t, why, waybill.ErrExpired)
		r.answer()
	})
}
