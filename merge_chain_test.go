package waybill_test

import (
	"context"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestMiddleDeclaresNothing checks a hop that declares no claims. It relays the changes of one
// callee. If two callees change a claim, it keeps the first value and reports a conflict; the hops
// above merge that value by their own rules.
func TestMiddleDeclaresNothing(t *testing.T) {
	front, middle := authority(t), waybilltest.Authority(t)
	frontCtx, _ := receive(t, front, issue(t, front, Seats.To(1), Cell.To("a")).Token())
	call := send(t, front, frontCtx)
	middleCtx, hop := receive(t, middle, call.Token())
	change(t, frontCtx, Seats.To(4)) // meanwhile

	first, second, third := send(t, middle, middleCtx), send(t, middle, middleCtx), send(t, middle, middleCtx)
	for _, step := range []struct {
		call   *waybill.Call
		theirs []waybill.Change
		out    waybill.Outcome
	}{
		{first, []waybill.Change{Seats.To(3)}, waybill.Relayed},
		{second, []waybill.Change{Seats.To(9), Price.To(5)}, waybill.Conflict}, // the change of seats is lost, the price is kept
		{third, []waybill.Change{Cell.Delete()}, waybill.Merged},
	} {
		out, err := step.call.Merge(list(answer(t, front, step.call.Token(), step.theirs...)), waybill.Succeeded)
		if out != step.out || err != nil {
			t.Errorf("got %s, %v, want %s", out, err, step.out)
		}
	}
	returned := single(hop.Commit(waybill.Succeeded))
	wantSet(t, "the middle hop", must(middle.Open(returned))(t), `"price":5,"seats":3`)
	if out, err := call.Merge(list(returned), waybill.Succeeded); out != waybill.Merged || err != nil {
		t.Errorf("front: got %s, %v, want merged", out, err)
	}
	wantSet(t, "the front hop", now(t, frontCtx), `"price":5,"seats":4`)
}

// TestJobAfterCommit checks that work which uses the request's context after the response was sent
// gets an error when it changes claims, and that detached work can change them.
func TestJobAfterCommit(t *testing.T) {
	auth := authority(t)
	ctx, hop := receive(t, auth, issue(t, auth, Cell.To("a")).Token())
	job, detached := context.WithoutCancel(ctx), waybill.Detach(ctx)
	call := send(t, auth, job)
	returned := answer(t, auth, call.Token(), Seats.To(2))
	if single(hop.Commit(waybill.Succeeded)) != "" {
		t.Error("nothing changed, but a token was returned")
	}
	wantIs(t, waybill.Update(job, Cell.To("b")), waybill.ErrCommitted)
	if out, err := call.Merge(list(returned), waybill.Succeeded); out != waybill.Rejected {
		t.Errorf("a response to the job: got %s, %v, want rejected", out, err)
	}
	wantIs(t, waybill.Lost(job), waybill.ErrCommitted)
	_, err := Cell.Lookup(job)
	wantIs(t, err, waybill.ErrCommitted)
	_, err = auth.Send(job)
	wantIs(t, err, waybill.ErrCommitted)
	if _, ok := Cell.Get(job); ok {
		t.Error("a context that outlives its hop shows a claim")
	}
	_, err = waybill.FromContext(waybill.Detach(job))
	wantIs(t, err, waybill.ErrCommitted)
	_, err = waybill.Reissue(job)
	wantIs(t, err, waybill.ErrCommitted)

	change(t, detached, Cell.To("b"))
	call = send(t, auth, detached)
	must(call.Merge(list(answer(t, auth, call.Token(), Seats.To(2))), waybill.Succeeded))(t)
	wantClaim(t, detached, Cell, "b")
	wantClaim(t, detached, Seats, 2)
}
