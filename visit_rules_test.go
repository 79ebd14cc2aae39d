package waybill_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

func reasons(hop waybill.Hop) []string {
	var out []string
	for _, err := range hop.Forgotten() {
		out = append(out, waybill.Reason(err))
	}
	slices.Sort(out)
	return out
}

func visitWith(t *testing.T, auth *waybill.Authority, tokens ...string) (context.Context, waybill.Hop) {
	t.Helper()
	return auth.ReceiveClient(t.Context(), waybill.Client{Tokens: tokens, Idle: time.Hour, MaxTokens: 32, MaxBytes: 32 << 10})
}

// twoVisitors returns the tokens that two clients hold.
func twoVisitors(t *testing.T, auth *waybill.Authority, changes ...waybill.Change) (one, other *visitor) {
	one = &visitor{t: t, auth: auth}
	other = &visitor{t: t, auth: auth}
	one.visit(changes...)
	other.visit(changes...)
	return one, other
}

func TestVisitForgets(t *testing.T) {
	auth := authority(t, waybill.Protect(waybill.Sealed))
	good, _ := twoVisitors(t, auth, Cell.To("eu"))
	foreign := must(waybill.New("other", ringOf(t, "other", lasting(t, keyring.Signed))))(t)
	signed := issue(t, authority(t), Cell.To("us")).Token()
	unknown := must(waybill.New(waybilltest.Domain, ringOf(t, waybilltest.Domain, lasting(t, keyring.Signed))))(t)
	for _, test := range []struct {
		name, token, reason string
	}{
		{"rubbish", "rubbish", "malformed"},
		{"half a token", good.holds[0][:len(good.holds[0])/2], "malformed"},
		{"too large", strings.Repeat("x", 8000), "too_large"},
		{"foreign", issue(t, foreign).Token(), "unknown_key"},
		{"unknown key", issue(t, unknown).Token(), "unknown_key"},
		{"another protection", signed, "protection"},
		{"forged", good.holds[0][:len(good.holds[0])-4] + "AAAA", "forged"},
	} {
		for _, tokens := range [][]string{{test.token}, {test.token, good.holds[0]}, {good.holds[0], test.token, "", test.token}} {
			ctx, hop := visitWith(t, auth, tokens...)
			if len(tokens) > 1 {
				if got := reasons(hop); !slices.Equal(got, []string{test.reason}) && test.reason != "protection" {
					t.Errorf("%s next to a good one: forgotten for %q", test.name, got)
				}
				wantState(t, ctx, `{"cell":"eu"}`)
			} else {
				if got := waybill.Reason(hop.Err()); got != test.reason {
					t.Errorf("%s: got %s, want %s", test.name, got, test.reason)
				}
				_, why := waybill.Previous(ctx)
				wantIs(t, why, hop.Err())
				must(0, hop.Provide())(t)
			}
			answer := hop.Commit(waybill.Succeeded)
			if len(answer) != 1 || (answer[0] == "") != (len(tokens) == 1 && test.reason != "protection") {
				t.Errorf("%s, %d tokens: got answer %q", test.name, len(tokens), answer)
			}
		}
	}
}

func TestVisitWithoutKeys(t *testing.T) {
	auth := must(waybill.New("test", keyring.NewRing(nil), declareAll()))(t)
	token := issue(t, authority(t), Cell.To("eu")).Token()
	ctx, hop := visitWith(t, auth, token, "rubbish")
	if waybill.ClassOf(hop.Err()) != waybill.Unavailable {
		t.Errorf("got %v, want the class Unavailable", hop.Err())
	}
	if _, err := auth.Start(ctx, Cell.To("us")); waybill.ClassOf(err) != waybill.Unavailable {
		t.Errorf("Start: got %v", err)
	}
	if err := hop.Provide(); waybill.ClassOf(err) != waybill.Unavailable {
		t.Errorf("Provide: got %v", err)
	}
	if err := waybill.End(ctx); waybill.ClassOf(err) != waybill.Unavailable {
		t.Errorf("End: got %v", err)
	}
	if got := hop.Commit(waybill.Succeeded); got != nil {
		t.Errorf("without keys the client is answered %q", got)
	}
}

func TestVisitBounds(t *testing.T) {
	for _, shape := range shapes {
		v := &visitor{t: t, auth: authority(t, shape.opt)}
		v.visit(Cell.To("eu"))
		var parallel []*visiting
		for i := range 40 {
			parallel = append(parallel, v.change(Seats.To(i+1)))
		}
		for _, r := range parallel {
			r.answer()
		}
		ctx, hop := v.auth.ReceiveClient(t.Context(), waybill.Client{Tokens: v.holds, MaxTokens: 4})
		if got := reasons(hop); len(got) != 36 || slices.ContainsFunc(got, func(r string) bool { return r != "overflow" }) {
			t.Errorf("of 40 tokens %d are forgotten for %q", len(got), slices.Compact(got))
		}
		wantState(t, ctx, `{"cell":"eu","seats":40}`)
		hop.Discard()
		ctx, hop = v.auth.ReceiveClient(t.Context(), waybill.Client{Tokens: v.holds, MaxBytes: 2 * len(v.holds[0])})
		if got := len(hop.Forgotten()); got < 38 {
			t.Errorf("with room for two tokens, %d are forgotten", got)
		}
		wantState(t, ctx, `{"cell":"eu","seats":40}`)
		hop.Discard()
	}
}

func TestVisitOtherJourneys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		for _, test := range []struct {
			name    string
			apart   time.Duration
			changes [2]waybill.Change
			want    string
			forgot  []string
		}{
			{"at the same time", time.Minute, [2]waybill.Change{Cell.To("a"), Seats.To(2)}, `{"cell":"a","seats":2}`, nil},
			{"later", 61 * time.Second, [2]waybill.Change{Cell.To("a"), Seats.To(2)}, `{"seats":2}`, []string{"other_journey"}},
			{"other fixed claims", 0, [2]waybill.Change{Tenant.To("x"), Tenant.To("y")}, "", []string{"other_journey"}},
		} {
			one, other := &visitor{t: t, auth: auth, start: test.changes[:1]}, &visitor{t: t, auth: auth, start: test.changes[1:]}
			one.visit()
			time.Sleep(test.apart)
			other.visit()
			for _, tokens := range [][]string{{one.holds[0], other.holds[0]}, {other.holds[0], one.holds[0]}} {
				ctx, hop := visitWith(t, auth, tokens...)
				if got := reasons(hop); !slices.Equal(got, test.forgot) {
					t.Errorf("%s: forgotten for %q, want %q", test.name, got, test.forgot)
				}
				if test.want != "" {
					wantState(t, ctx, test.want)
				}
				hop.Discard()
			}
		}
	})
}

func TestVisitTooLarge(t *testing.T) {
	auth := authority(t, waybill.IssueLimit(900))
	v := &visitor{t: t, auth: auth}
	v.visit(Cell.To("eu"))
	a, b := v.change(Stamp.To(strings.Repeat("a", 300))), v.change(Receipt.To(strings.Repeat("b", 300)))
	a.answer()
	b.answer()
	r := v.send()
	wantIs(t, waybill.Lost(r.ctx), waybill.ErrTooLarge)
	if len(r.hop.Forgotten()) != 1 {
		t.Errorf("forgotten: %q", reasons(r.hop))
	}
	r.answer()
	if len(v.holds) != 1 {
		t.Errorf("the client holds %d tokens", len(v.holds))
	}
	err := waybill.Update(v.send().ctx, Tags.To([]string{strings.Repeat("c", 600)}))
	wantIs(t, err, waybill.ErrTooLarge)
}

func TestVisitTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, auth: authority(t, waybill.Life(time.Minute))}
		v.visit(Cell.To("eu"))
		in, late := v.change(Seats.To(2)), v.change(Seats.To(3))
		time.Sleep(time.Minute)
		if in.answer() == nil {
			t.Error("an answer one life after its request brings no token")
		}
		time.Sleep(time.Second)
		wantIs(t, waybill.Update(late.ctx, Seats.To(4)), waybill.ErrTooLate)
		wantIs(t, waybill.End(late.ctx), waybill.ErrTooLate)
		if got := late.answer(); got != nil {
			t.Errorf("an answer more than one life after its request brings %q", got)
		}
		if late.hop.Missed() == 0 {
			t.Error("the late change is not counted")
		}
	})
}

func TestVisitFailed(t *testing.T) {
	v := &visitor{t: t, auth: authority(t), start: []waybill.Change{Receipt.To("first"), Cell.To("eu")}}
	r := v.send()
	v.holds = r.hop.Commit(waybill.Failed)
	r = v.send()
	wantState(t, r.ctx, `{"cell":"eu","receipt":"first"}`) // an answer that failed keeps what the journey began with
	change(t, r.ctx, Receipt.To("second"), Cell.To("us"))
	v.holds = r.hop.Commit(waybill.Failed)
	r = v.change(Receipt.To("third"))
	wantState(t, r.ctx, `{"cell":"us","receipt":"third"}`)
	if got := r.hop.Commit(waybill.Failed); got != nil {
		t.Errorf("a failed request changed an OnSuccess claim only: got %q", got)
	}
}

func TestVisitWayBack(t *testing.T) {
	v := &visitor{t: t, auth: authority(t)}
	v.visit(Cell.To("eu"))
	r := v.send()
	call := send(t, v.auth, r.ctx)
	ctx, hop := receive(t, v.auth, call.Token())
	change(t, ctx, Seats.To(2))
	returned := hop.Commit(waybill.Succeeded)
	if outcome, err := call.Merge(returned, waybill.Succeeded); outcome != waybill.Merged || err != nil {
		t.Errorf("got %s, %v", outcome, err)
	}
	again := send(t, v.auth, r.ctx)
	if err := waybill.End(r.ctx); err != nil {
		t.Fatal(err)
	}
	ctx, hop = receive(t, v.auth, again.Token())
	change(t, ctx, Seats.To(3))
	_, err := again.Merge(hop.Commit(waybill.Succeeded), waybill.Succeeded)
	if waybill.Reason(err) != "superseded" {
		t.Errorf("a change of the journey that was ended: got %v", err)
	}
}

func TestNotAtEdge(t *testing.T) {
	auth := authority(t)
	hop, _ := receive(t, auth, issue(t, auth, Cell.To("eu")).Token())
	for name, ctx := range map[string]context.Context{
		"no waybill": t.Context(), "a hop": hop, "local": must(auth.Start(t.Context()))(t),
	} {
		wantIs(t, waybill.End(ctx), waybill.ErrNotAtEdge)
		wantIs(t, waybill.Begin(ctx, Cell.To("us")), waybill.ErrNotAtEdge)
		if previous, why := waybill.Previous(ctx); previous != nil || why != nil || waybill.Began(ctx) {
			t.Errorf("%s: Previous: %v, %v", name, previous, why)
		}
	}
	v := &visitor{t: t, auth: auth}
	if err := waybill.Begin(v.send().ctx); err == nil {
		t.Error("Begin without claims: no error")
	}
	if err := waybill.Begin(v.send().ctx, waybill.NewClaim[int]("other").To(1)); !errors.Is(err, waybill.ErrUndeclared) {
		t.Errorf("Begin with an undeclared claim: got %v", err)
	}
}

func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		wb := issue(t, auth, Cell.To("eu"))
		time.Sleep(time.Hour)
		e := must(auth.OpenEnded(wb.Token()))(t)
		wantIs(t, e.Err(), waybill.ErrExpired)
		if cell, ok := Cell.Of(e); !ok || cell != "eu" || e.ID() != wb.ID() || !e.Ends().Equal(wb.Ends()) {
			t.Errorf("got %v", e)
		}
		for _, text := range []string{fmt.Sprint(e), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", *e), e.LogValue().String()} {
			if strings.Contains(text, wb.Token()) {
				t.Errorf("printed with its token: %s", text)
			}
		}
		if _, err := auth.OpenEnded(wb.Token() + "x"); err == nil {
			t.Error("OpenEnded opens a token that is not genuine")
		}
		var none *waybill.Ended
		for _, e := range []*waybill.Ended{none, new(waybill.Ended)} {
			if _, ok := Cell.Of(e); ok || e.ID() != "" || e.String() != "ended no waybill" {
				t.Errorf("the zero Ended: got %v", e)
			}
		}
	})
}

// TestVisitClockAhead lets a node begin a journey whose clock is ahead of all others.
func TestVisitClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := authority(t, waybill.Clock(func() time.Time { return time.Now().Add(time.Hour) }))
		auth := authority(t)
		for _, login := range []bool{false, true} {
			v := &visitor{t: t, auth: ahead}
			r := v.change(Cell.To("eu"))
			if login {
				if err := waybill.Begin(r.ctx, Cell.To("eu")); err != nil {
					t.Fatal(err)
				}
			}
			r.answer()
			v.auth = auth
			a := v.change(Seats.To(2))
			time.Sleep(2 * time.Second)
			b := v.change(Price.To(7)) // carries the same token, and corrects it 2 s later
			if !a.hop.ClockAhead() || len(a.hop.Forgotten()) > 0 {
				t.Errorf("ClockAhead: %v, forgotten %q", a.hop.ClockAhead(), reasons(a.hop))
			}
			receive(t, auth, send(t, auth, a.ctx).Token()) // other services accept it
			a.answer()
			b.answer()
			r = v.send()
			wantState(t, r.ctx, `{"cell":"eu","price":7,"seats":2}`)
		}
	})
}

// TestVisitSlowStart checks that a token is accepted although beginning its journey took long.
func TestVisitSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t, waybill.Journey(24*time.Hour))
		ctx, hop := visitWith(t, auth)
		time.Sleep(5 * time.Second)
		if _, err := auth.Start(ctx, Cell.To("eu")); err != nil {
			t.Fatal(err)
		}
		receive(t, auth, hop.Commit(waybill.Succeeded)[0])
	})
}

// TestVisitNames checks which tokens replace one another in a client that keeps them by name.
func TestVisitNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, auth: authority(t)}
		v.visit(Cell.To("eu"))
		time.Sleep(8 * time.Minute)
		names := map[string]string{}
		for _, do := range []string{"renewal", "renewal again", "end", "end again", "change", "begin"} {
			r := v.send()
			switch do {
			case "end", "end again":
				must(0, waybill.End(r.ctx))(t)
			case "change":
				change(t, r.ctx, Cell.To("us"))
			case "begin":
				must(0, waybill.Begin(r.ctx, Cell.To("us")))(t)
			}
			r.hop.Commit(waybill.Succeeded)
			name := r.hop.Returned().Name()
			if before, ok := names[name]; ok != (do == "renewal again") {
				t.Errorf("%s has the name of %s", do, before)
			}
			names[name] = do
		}
	})
}

// TestVisitRolling mixes replicas with the claims of today and of the day before, when seats had no merge
// rule and price was not declared. The replicas may disagree on these claims, and lose no other one.
func TestVisitRolling(t *testing.T) {
	today := authority(t)
	before := waybilltest.Authority(t, waybill.Claims(Cell, waybill.NewClaim[int]("seats"), Tags, Tenant, Receipt, Stamp))
	for _, merger := range []*waybill.Authority{today, before} {
		v := &visitor{t: t, auth: today}
		v.visit(Cell.To("eu"), Seats.To(1), Price.To(9))
		a := v.change(Seats.To(5), Tags.To([]string{"a"}))
		b := v.change(Price.To(7))
		v.auth = before
		c := v.change(waybill.NewClaim[int]("seats").To(3), Tags.To([]string{"c"}))
		for _, r := range []*visiting{a, b, c} {
			r.answer()
		}
		v.auth = merger
		r := v.send()
		if err := waybill.Lost(r.ctx); err != nil {
			t.Error(err)
		}
		wb := now(t, r.ctx)
		tags, _ := Tags.Of(wb)
		seats, _ := Seats.Of(wb)
		if price, _ := Price.Of(wb); price != 7 || !slices.Equal(tags, []string{"a", "c"}) || seats != 5 && seats != 3 {
			t.Errorf("got seats %d, price %d, tags %q", seats, price, tags)
		}
	}
}

// TestVisitEnd checks that an edge does not use the leeway to go past the end of a journey.
func TestVisitEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, auth: authority(t, waybill.Journey(time.Hour)), start: []waybill.Change{Cell.To("eu")}}
		for _, parallel := range []int{1, 3} {
			v.holds = nil
			v.visit()
			for range 3 {
				time.Sleep(14 * time.Minute)
				v.visit()
			}
			time.Sleep(10 * time.Minute)
			var requests []*visiting
			for i := range parallel {
				requests = append(requests, v.change(Seats.To(i+1)))
			}
			for _, r := range requests {
				r.answer()
			}
			time.Sleep(8 * time.Minute) // to the end; the tokens are good for the leeway
			r := v.send()
			_, why := waybill.Previous(r.ctx)
			wantIs(t, why, waybill.ErrExpired)
			wantState(t, r.ctx, `{"cell":"eu"}`)
			receive(t, v.auth, send(t, v.auth, r.ctx).Token())
		}
	})
}
