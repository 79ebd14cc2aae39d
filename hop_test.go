package waybill_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

func TestHopAnswers(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a"), Receipt.To("r1"), Seats.To(1)).Token()
	for _, test := range []struct {
		name    string
		changes []waybill.Change
		failed  bool
		want    string // claims of the returned token; "" for no token
	}{
		{"nothing changed", nil, false, ""},
		{"set to the same", []waybill.Change{Cell.To("a")}, false, ""},
		{"changed", []waybill.Change{Cell.To("b")}, false, `"cell":"b","receipt":"r1","seats":1`},
		{"changed, failed", []waybill.Change{Cell.To("b")}, true, `"cell":"b","receipt":"r1","seats":1`},
		{"on success", []waybill.Change{Receipt.To("r2")}, false, `"cell":"a","receipt":"r2","seats":1`},
		{"on success, failed", []waybill.Change{Receipt.To("r2")}, true, ""},
		{"on success deleted, failed", []waybill.Change{Receipt.Delete()}, true, ""},
		{"on success added, failed", []waybill.Change{Stamp.To("s")}, true, ""},
		{"both, failed", []waybill.Change{Receipt.To("r2"), Stamp.To("s"), Seats.To(2)}, true, `"cell":"a","receipt":"r1","seats":2`},
	} {
		for _, shape := range shapes {
			auth := authority(t, shape.opt, waybill.AlsoOpen(waybill.Signed))
			ctx, hop := receive(t, auth, token)
			change(t, ctx, test.changes...)
			inside := string(now(t, ctx).Payload())
			returned := single(hop.Return(ended(!test.failed)))
			if got := string(now(t, ctx).Payload()); got != inside {
				t.Errorf("%s: the handler sees %s, want %s as before Return", test.name, got, inside)
			}
			if again := single(hop.Commit(ended(!test.failed))); again != "" {
				t.Errorf("%s: Commit after Return: got %q", test.name, again)
			}
			if _, err := waybill.FromContext(ctx); err != waybill.ErrCommitted {
				t.Errorf("%s: after Commit: got %v, want ErrCommitted", test.name, err)
			}
			if (returned != "") != (test.want != "") {
				t.Errorf("%s: got returned token %q, want claims %s", test.name, returned, test.want)
			} else if returned != "" {
				wantClaims(t, must(auth.Open(returned))(t), test.want)
			}
			if again := single(hop.Commit(ended(!test.failed))); again != "" {
				t.Errorf("%s: committed twice, got %q", test.name, again)
			}
			if err := waybill.Lost(ctx); err != nil {
				t.Errorf("%s: Lost: got %v", test.name, err)
			}
		}
	}
}

// TestHopReturns returns tokens in steps, as a stream does.
func TestHopReturns(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Seats.To(0)).Token()
	for _, result := range []waybill.Result{waybill.Succeeded, waybill.Failed} {
		failed := result == waybill.Failed
		ctx, hop := receive(t, auth, token)
		if got := single(hop.Return(result)); got != "" {
			t.Errorf("nothing changed: got %q", got)
		}
		for n := 1; n < 4; n++ {
			change(t, ctx, Seats.To(n), Receipt.To("r"))
			wb := must(auth.Open(single(hop.Return(result))))(t)
			if got, _ := Seats.Of(wb); got != n {
				t.Errorf("got %d, want %d", got, n)
			}
			if wb.Has("receipt") == failed {
				t.Errorf("failed %v: got receipt %v", failed, wb.Has("receipt"))
			}
			if got := single(hop.Return(result)); got != "" {
				t.Errorf("failed %v: the same token was returned twice", failed)
			}
		}
		if got := single(hop.Commit(result)); got != "" {
			t.Errorf("failed %v: the same token was returned again at the end", failed)
		}
	}
	// A success that turns into a failure undoes changes of OnSuccess claims, even if nothing else
	// was changed.
	for _, changes := range [][]waybill.Change{{Receipt.To("r")}, {Receipt.To("r"), Seats.To(1)}} {
		ctx, hop := receive(t, auth, token)
		change(t, ctx, changes...)
		if wb := must(auth.Open(single(hop.Return(waybill.Succeeded))))(t); !wb.Has("receipt") {
			t.Error("a success returned no receipt")
		}
		if wb := must(auth.Open(single(hop.Commit(waybill.Failed))))(t); wb.Has("receipt") {
			t.Error("a failure returned a receipt")
		}
	}

	ctx, hop := receive(t, auth, token)
	change(t, ctx, Seats.To(5))
	hop.FinalReturn(waybill.Succeeded)
	change2 := waybill.Update(ctx, Seats.To(6))
	if got := single(hop.Return(waybill.Succeeded)); got != "" || change2 != waybill.ErrTooLate {
		t.Errorf("after FinalReturn: got %q", got)
	}
	ctx, hop = receive(t, auth, token)
	change(t, ctx, Seats.To(5))
	if got := single(hop.FinalReturn(waybill.Succeeded)); got == "" {
		t.Error("FinalReturn returned nothing")
	}
	wantIs(t, waybill.Update(ctx, Seats.To(6)), waybill.ErrTooLate)
	ctx, hop = receive(t, auth, token)
	change(t, ctx, Seats.To(5))
	hop.Discard()
	if got := single(hop.Commit(waybill.Succeeded)); got != "" {
		t.Errorf("discarded: got %q", got)
	}
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t, waybill.Journey(time.Hour))
		base := issue(t, auth, Cell.To("a"))
		begin := time.Now()
		for _, test := range []struct {
			at   time.Duration // since the start of the journey
			want time.Duration // of exp; 0: not renewed
		}{
			{0, 0},
			{waybill.DefaultLife / 2, 0},
			{waybill.DefaultLife/2 + time.Second, waybill.DefaultLife/2 + time.Second + waybill.DefaultLife},
			{waybill.DefaultLife + 9*time.Second, waybill.DefaultLife + 9*time.Second + waybill.DefaultLife}, // within the leeway
		} {
			time.Sleep(time.Until(begin.Add(test.at)))
			ctx, hop := receive(t, auth, base.Token())
			if err := hop.Renew(false); err != nil {
				t.Fatal(err)
			}
			wb := now(t, ctx)
			if test.want == 0 {
				if wb.Token() != base.Token() || single(hop.Commit(waybill.Succeeded)) != "" {
					t.Errorf("after %v: renewed, want it unchanged", test.at)
				}
				continue
			}
			if got := wb.Expires().Sub(begin); got != test.want || !wb.Issued().Equal(time.Now()) || !wb.Ends().Equal(base.Ends()) || wb.ID() != base.ID() {
				t.Errorf("after %v: got exp after %v in %s, want %v", test.at, got, wb.Payload(), test.want)
			}
			call := send(t, auth, ctx)
			if call.Token() == base.Token() {
				t.Errorf("after %v: the old token is still sent", test.at)
			}
			if out, err := call.Merge(list(answer(t, auth, call.Token(), Cell.To("b"))), waybill.Succeeded); out != waybill.Merged || err != nil {
				t.Errorf("after %v: Merge: got %s, %v", test.at, out, err)
			}
			returned := must(auth.Open(single(hop.Commit(waybill.Failed))))(t) // also if the hop failed
			wantClaims(t, returned, `"cell":"b"`)
			if !returned.Expires().Equal(wb.Expires()) {
				t.Errorf("after %v: the returned token lost the new life", test.at)
			}
		}

		// Near the end of the journey, the renewed life is shorter. At the end there is no renewal.
		last := base
		for !last.Expires().Equal(last.Ends()) {
			time.Sleep(time.Until(last.Expires()) - time.Second)
			ctx, hop := receive(t, auth, last.Token())
			if err := hop.Renew(false); err != nil {
				t.Fatal(err)
			}
			last = must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t)
			if last.Expires().After(last.Ends()) {
				t.Fatalf("got %s, want exp within end", last.Payload())
			}
			_ = ctx
		}
		time.Sleep(time.Until(last.Ends()) - time.Second)
		ctx, hop := receive(t, auth, last.Token())
		if err := hop.Renew(false); err != nil || now(t, ctx).Token() != last.Token() {
			t.Errorf("at the end: got %v, want it not renewed", err)
		}
		time.Sleep(5 * time.Second) // after the end, within the leeway
		ctx, hop = receive(t, auth, last.Token())
		if err := hop.Renew(false); err != nil || now(t, ctx).Token() != last.Token() {
			t.Errorf("after the end: got %v, want it not renewed", err)
		}
		_, hop = auth.Receive(t.Context(), nil, nil)
		wantIs(t, hop.Renew(false), waybill.ErrNoWaybill)
	})
}

// TestReadOnlyHop checks that a node with only the public key reports ErrReadOnly, and sends no
// token that it would have to change.
func TestReadOnlyHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private := lasting(t, keyring.Public)
		edge := must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), waybill.Protect(waybill.Public)))(t)
		reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), waybill.Protect(waybill.Public)))(t)
		token := issue(t, edge, Cell.To("a")).Token()

		ctx, _ := reader.Receive(t.Context(), nil, nil)
		_, err := reader.Start(ctx, Cell.To("a"))
		wantIs(t, err, waybill.ErrReadOnly)
		_, err = waybill.FromContext(ctx)
		wantIs(t, err, waybill.ErrNoWaybill)

		// A returned token is not sent on if changes of OnSuccess claims would have to be removed
		// from it.
		for _, test := range []struct {
			change waybill.Change
			lost   error
		}{{Receipt.To("r"), waybill.ErrReadOnly}, {Cell.To("b"), nil}} {
			ctx, hop := receive(t, reader, token)
			call := send(t, reader, ctx)
			returned := answer(t, edge, call.Token(), test.change)
			must(call.Merge(list(returned), waybill.Succeeded))(t)
			if got := single(hop.Commit(waybill.Failed)); (got == returned) != (test.lost == nil) || got != "" && got != returned {
				t.Errorf("failed: got %q, want the returned token verbatim or nothing", got)
			}
			if err := waybill.Lost(ctx); !errors.Is(err, test.lost) {
				t.Errorf("Lost: got %v, want %v", err, test.lost)
			}
		}

		time.Sleep(waybill.DefaultLife - time.Minute)
		ctx, hop := receive(t, reader, token)
		wantIs(t, hop.Renew(false), waybill.ErrReadOnly)
		same, err := waybill.Reissue(ctx)
		wantIs(t, err, waybill.ErrReadOnly)
		if same != ctx || now(t, ctx).Token() != token {
			t.Error("a failed operation changed the waybill")
		}
	})
}
