package waybill_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestStart(t *testing.T) {
	auth := authority(t)
	ctx := must(auth.Start(t.Context(), Cell.To("a"), Tenant.To("acme")))(t)
	wantClaim(t, ctx, Cell, "a")
	wantClaim(t, ctx, Tenant, "acme")
	if _, err := waybill.FromContext(t.Context()); err != waybill.ErrNoWaybill {
		t.Errorf("the context passed to Start: got %v, want ErrNoWaybill", err)
	}
	id := now(t, ctx).ID()
	again, err := auth.Start(ctx, Cell.To("b"))
	wantIs(t, err, waybill.ErrStarted)
	if again != ctx || now(t, again).ID() != id {
		t.Error("Start on a journey: got another context, want the same")
	}
	change(t, ctx, Cell.To("b"))
	wantClaim(t, ctx, Cell, "b")
	_, err = auth.Start(t.Context(), waybill.NewClaim[int]("other").To(1))
	wantIs(t, err, waybill.ErrUndeclared)
}

// TestStartInHop starts journeys in requests without a valid waybill. The new waybill goes back.
func TestStartInHop(t *testing.T) {
	auth := authority(t)
	for _, values := range [][]string{nil, {"garbage"}, {""}, {"a", "b"}} {
		ctx, hop := auth.Receive(context.Background(), values, nil)
		ctx = must(auth.Start(ctx, Cell.To("a"), Receipt.To("r")))(t)
		wantClaim(t, ctx, Cell, "a")
		if _, err := auth.Start(ctx); !errors.Is(err, waybill.ErrStarted) {
			t.Errorf("%q: started twice: got %v, want ErrStarted", values, err)
		}
		change(t, ctx, Cell.To("b"))
		returned := single(hop.Commit(waybill.Failed)) // a new journey also returns from a failed call
		wb := must(auth.Open(returned))(t)
		wantClaims(t, wb, `"cell":"b","receipt":"r"`)
		if strings.Contains(string(wb.Payload()), `"bas"`) {
			t.Errorf("%q: got %s, want no bas: there was no token", values, wb.Payload())
		}
		_, err := auth.Start(ctx)
		wantIs(t, err, waybill.ErrStarted)
	}
	ctx, hop := auth.Receive(context.Background(), nil, nil)
	hop.Commit(waybill.Succeeded)
	_, err := auth.Start(ctx)
	wantIs(t, err, waybill.ErrCommitted)
	ctx, hop = auth.Receive(context.Background(), nil, nil)
	hop.FinalReturn(waybill.Succeeded)
	_, err = auth.Start(ctx)
	wantIs(t, err, waybill.ErrTooLate)
}

func TestUpdateErrors(t *testing.T) {
	auth := authority(t)
	wantIs(t, waybill.Update(t.Context(), Cell.To("a")), waybill.ErrNoWaybill)
	wantIs(t, waybill.Update(waybill.Without(waybilltest.Context(t, auth)), Cell.To("a")), waybill.ErrNoWaybill)
	ctx, _ := auth.Receive(t.Context(), nil, nil)
	wantIs(t, waybill.Update(ctx, Cell.To("a")), waybill.ErrNoWaybill)
	ctx, _ = auth.Receive(t.Context(), []string{"x"}, nil)
	wantIs(t, waybill.Update(ctx, Cell.To("a")), waybill.ErrMalformed)

	token := issue(t, auth, Cell.To("a")).Token()
	ctx, hop := receive(t, auth, token)
	hop.FinalReturn(waybill.Succeeded)
	wantIs(t, waybill.Update(ctx, Cell.To("b")), waybill.ErrTooLate)
	wantIs(t, waybill.Update(ctx, Cell.To("c")), waybill.ErrTooLate)
	hop.Commit(waybill.Succeeded)
	wantIs(t, waybill.Update(ctx, Cell.To("b")), waybill.ErrCommitted)
	if got := hop.Missed(); got != 2 {
		t.Errorf("%d changes missed, want the 2 before Commit", got)
	}
	ctx, hop = receive(t, auth, token)
	hop.Discard()
	wantIs(t, waybill.Update(ctx, Cell.To("b")), waybill.ErrCommitted)

	// The size is the size on the wire, with "bas". A smaller change succeeds afterwards.
	small := authority(t, waybill.IssueLimit(320))
	ctx, _ = receive(t, small, issue(t, small).Token())
	wantIs(t, waybill.Update(ctx, Cell.To(strings.Repeat("x", 100))), waybill.ErrTooLarge)
	wantNoClaim(t, ctx, Cell)
	change(t, ctx, Cell.To("x"))
	if n := len(send(t, small, ctx).Token()); n > 320 {
		t.Errorf("got a token of %d bytes, want at most 320", n)
	}

	// A service that accepts the tokens of another one, but has no key to change them.
	private := lasting(t, keyring.Public)
	edge := must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), waybill.Protect(waybill.Public)))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), waybill.Protect(waybill.Public)))(t)
	ctx, hop = receive(t, reader, issue(t, edge, Cell.To("a")).Token())
	wantIs(t, waybill.Update(ctx, Cell.To("b")), waybill.ErrReadOnly)
	wantClaim(t, ctx, Cell, "a")
	if got := single(hop.Commit(waybill.Succeeded)); got != "" {
		t.Errorf("a node that cannot issue sent back %q", got)
	}
}

// TestUpdateWithoutKey checks a token that expires later than all keys that this node could change
// it with.
func TestUpdateWithoutKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, keyring.Signed, time.Now(), time.Now().Add(20*time.Minute))
		auth := must(waybill.New("shop", ringOf(t, "shop", k), declareAll(), waybill.Life(20*time.Minute)))(t)
		ctx, _ := receive(t, auth, issue(t, auth).Token())
		time.Sleep(15 * time.Minute)
		change(t, ctx, Cell.To("a")) // exp stays, so the key still covers it
		_, err := auth.Issue()       // a new token would outlive the key
		wantIs(t, err, waybill.ErrNoKey)
	})
}

// TestUpdateCopiesTimes changes a waybill late in its life.
func TestUpdateCopiesTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		base := issue(t, auth, Cell.To("a"))
		ctx, hop := receive(t, auth, base.Token())
		time.Sleep(14 * time.Minute)
		change(t, ctx, Cell.To("b"))
		change(t, ctx, Cell.To("c"))
		next := must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t)
		if next.ID() != base.ID() || !next.Issued().Equal(base.Issued()) || !next.Expires().Equal(base.Expires()) || !next.Ends().Equal(base.Ends()) {
			t.Errorf("got %s, want sid, iat, exp and end of %s", next.Payload(), base.Payload())
		}
		if want := `"bas":"` + basOf(base.Token()) + `"`; strings.Count(string(next.Payload()), `"bas"`) != 1 || !strings.Contains(string(next.Payload()), want) {
			t.Errorf("got %s, want one bas: %s", next.Payload(), want)
		}
	})
}

// TestUpdateOfReturned changes a token that was returned to the client before, and that names the
// client's earlier token in its "bas".
func TestUpdateOfReturned(t *testing.T) {
	auth := authority(t)
	first := issue(t, auth, Cell.To("a")).Token()
	second := answer(t, auth, first, Cell.To("b"))
	third := answer(t, auth, second, Cell.To("c"))
	got := string(must(auth.Open(third))(t).Payload())
	if want := `"bas":"` + basOf(second) + `"`; strings.Count(got, `"bas"`) != 1 || !strings.Contains(got, want) {
		t.Errorf("got %s, want one bas: %s", got, want)
	}
}

// TestUpdateIsVersioned checks that calls made before a change send the old token, and calls made
// after it the new one.
func TestUpdateIsVersioned(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, Cell.To("a"))
	before := send(t, auth, ctx)
	change(t, ctx, Cell.To("b"))
	after := send(t, auth, ctx)
	for call, want := range map[*waybill.Call]string{before: "a", after: "b"} {
		ctx, _ := receive(t, auth, call.Token())
		wantClaim(t, ctx, Cell, want)
	}
	if after.Token() != send(t, auth, ctx).Token() {
		t.Error("two calls of one version carry different tokens")
	}
	change(t, ctx, Cell.To("b"))
	if after.Token() != send(t, auth, ctx).Token() {
		t.Error("a change to the same value made a new token")
	}
}

func TestWithout(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, Cell.To("a"))
	type key struct{}
	ctx = context.WithValue(ctx, key{}, "kept")
	bare := waybill.Without(ctx)
	if _, err := waybill.FromContext(bare); err != waybill.ErrNoWaybill {
		t.Errorf("got %v, want ErrNoWaybill", err)
	}
	if bare.Value(key{}) != "kept" {
		t.Error("Without removed other values")
	}
	if _, err := auth.Send(bare); err != waybill.ErrNoWaybill {
		t.Errorf("Send: got %v, want ErrNoWaybill", err)
	}
	if waybill.Without(t.Context()) != t.Context() {
		t.Error("Without made a new context although there was no waybill")
	}
	started := must(auth.Start(bare, Cell.To("b")))(t)
	wantClaim(t, started, Cell, "b")
	wantClaim(t, ctx, Cell, "a")
	if waybill.Lost(bare) != nil {
		t.Error("Lost without a waybill is not nil")
	}
}

func TestDetach(t *testing.T) {
	auth := authority(t)
	parent, cancel := context.WithTimeout(t.Context(), time.Hour)
	ctx, hop := auth.Receive(parent, []string{issue(t, auth, Cell.To("a")).Token()}, nil)
	change(t, ctx, Cell.To("b"))
	job := waybill.Detach(ctx)
	cancel()
	if _, ok := job.Deadline(); ok || job.Err() != nil || ctx.Err() == nil {
		t.Errorf("got deadline %v and error %v, want neither", ok, job.Err())
	}
	wantClaim(t, job, Cell, "b")
	change(t, job, Cell.To("c"))
	wantClaim(t, job, Cell, "c")
	wantClaim(t, ctx, Cell, "b")

	// The job's changes are sent with its calls, and the returned tokens of its calls are merged.
	call := send(t, auth, job)
	out, err := call.Merge(list(answer(t, auth, call.Token(), Seats.To(3))), waybill.Succeeded)
	if out != waybill.Merged || err != nil {
		t.Errorf("got %s, %v, want merged", out, err)
	}
	wantClaim(t, job, Seats, 3)
	wantNoClaim(t, ctx, Seats)
	hop.Commit(waybill.Succeeded)
	wantClaim(t, job, Seats, 3)

	if _, err := waybill.FromContext(waybill.Detach(t.Context())); err != waybill.ErrNoWaybill {
		t.Errorf("without a waybill: got %v, want ErrNoWaybill", err)
	}
	refused, _ := auth.Receive(t.Context(), []string{"x"}, nil)
	_, err = waybill.FromContext(waybill.Detach(refused))
	wantIs(t, err, waybill.ErrMalformed)
}

func TestReissue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t, waybill.Journey(time.Hour))
		base := issue(t, auth, Cell.To("a"), Tenant.To("acme"))
		stored := time.Now()
		time.Sleep(30 * time.Minute)
		if _, err := auth.Open(base.Token()); !errors.Is(err, waybill.ErrExpired) {
			t.Fatalf("got %v, want ErrExpired", err)
		}
		ctx, hop := auth.ReceiveAt(context.Background(), []string{base.Token()}, stored)
		if hop.Err() != nil {
			t.Fatal(hop.Err())
		}
		wantClaim(t, ctx, Cell, "a")
		_, err := auth.Send(ctx)
		wantIs(t, err, waybill.ErrExpired)
		fresh := must(waybill.Reissue(ctx))(t)
		call := send(t, auth, fresh)
		next := must(auth.Open(call.Token()))(t)
		wantClaims(t, next, `"cell":"a","tenant":"acme"`)
		if next.ID() != base.ID() || !next.Ends().Equal(base.Ends()) || !next.Issued().Equal(time.Now()) || time.Until(next.Expires()) != waybill.DefaultLife {
			t.Errorf("got %s, want a new life within the same journey", next.Payload())
		}
		if strings.Contains(string(next.Payload()), `"bas"`) {
			t.Errorf("got %s, want no bas", next.Payload())
		}
		if out, err := call.Merge(list(answer(t, auth, call.Token(), Cell.To("b"))), waybill.Succeeded); out != waybill.Merged || err != nil {
			t.Errorf("Merge: got %s, %v, want merged", out, err)
		}
		wantClaim(t, fresh, Cell, "b")

		time.Sleep(20 * time.Minute) // ten minutes before the end
		ctx, _ = auth.ReceiveAt(context.Background(), []string{base.Token()}, stored)
		fresh = must(waybill.Reissue(ctx))(t)
		if got := now(t, fresh); !got.Expires().Equal(base.Ends()) {
			t.Errorf("got exp %v, want the end of the journey %v", got.Expires(), base.Ends())
		}
		time.Sleep(10 * time.Minute)
		ctx, _ = auth.ReceiveAt(context.Background(), []string{base.Token()}, stored)
		same, err := waybill.Reissue(ctx)
		wantIs(t, err, waybill.ErrExpired)
		if same != ctx {
			t.Error("a failed Reissue returned another context")
		}
		_, err = waybill.Reissue(context.Background())
		wantIs(t, err, waybill.ErrNoWaybill)
	})
}

// TestReceiveAt checks that messages are judged at the time they were stored.
func TestReceiveAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		time.Sleep(time.Hour)
		token := issue(t, auth).Token()
		issued := time.Now()
		time.Sleep(24 * time.Hour)
		for _, test := range []struct {
			stored time.Time
			want   string
		}{
			{issued, "ok"},
			{issued.Add(-11 * time.Second), "not_yet_valid"},
			{issued.Add(-10 * time.Second), "ok"},
			{issued.Add(waybill.DefaultLife), "ok"},
			{issued.Add(waybill.DefaultLife + 10*time.Second), "expired"},
			{time.Now(), "expired"},
			{time.Now().Add(11 * time.Second), "not_yet_valid"},
		} {
			_, hop := auth.ReceiveAt(context.Background(), []string{token}, test.stored)
			if got := waybill.Reason(hop.Err()); got != test.want {
				t.Errorf("stored %v after issue: got %s, want %s", test.stored.Sub(issued), got, test.want)
			}
		}
		// The outcome at that time is not the outcome of a request that arrives now with the same
		// bytes.
		ctx, _ := auth.ReceiveAt(context.Background(), []string{token}, issued)
		_, hop := auth.Receive(ctx, []string{token}, nil)
		wantIs(t, hop.Err(), waybill.ErrExpired)
		if !hop.Fresh() {
			t.Error("the outcome of a stored message was used again")
		}
	})
}

// TestReissueInHop checks that a handler that outlives its token calls on across several renewals, and
// that its changes go back in a token that its caller accepts.
func TestReissueInHop(t *testing.T) {
	for _, shape := range shapes {
		synctest.Test(t, func(t *testing.T) {
			auth := authority(t, shape.opt)
			caller := must(auth.Start(t.Context(), Cell.To("a"), Seats.To(1)))(t)
			outer := send(t, auth, caller)
			ctx, hop := receive(t, auth, outer.Token())
			for n := 2; n < 6; n++ {
				time.Sleep(waybill.DefaultLife)
				_, err := auth.Send(ctx)
				wantIs(t, err, waybill.ErrExpired)
				if again := must(waybill.Reissue(ctx))(t); again != ctx {
					t.Error("Reissue in a hop returned another context")
				}
				call := send(t, auth, ctx)
				if out, err := call.Merge(list(answer(t, auth, call.Token(), Seats.To(n))), waybill.Succeeded); out != waybill.Merged || err != nil {
					t.Fatalf("%s: renewal %d: got %s, %v, want merged", shape.name, n, out, err)
				}
				wantClaim(t, ctx, Seats, n)
				change(t, ctx, Cell.To("b"))
				if got := must(auth.Open(send(t, auth, ctx).Token()))(t); !got.Expires().Equal(time.Now().Add(waybill.DefaultLife)) {
					t.Errorf("%s: a change after Reissue lives until %v", shape.name, got.Expires())
				}
			}
			if out, err := outer.Merge(list(single(hop.Commit(waybill.Succeeded))), waybill.Succeeded); out != waybill.Merged && out != waybill.Relayed || err != nil {
				t.Errorf("%s: the caller: got %s, %v, want merged", shape.name, out, err)
			}
			wantClaim(t, caller, Seats, 5)
			wantClaim(t, caller, Cell, "b")
			// The journey's end is the end.
			ctx, _ = receive(t, auth, issue(t, auth).Token())
			time.Sleep(waybill.DefaultJourney)
			_, err := waybill.Reissue(ctx)
			wantIs(t, err, waybill.ErrExpired)
		})
	}
}
