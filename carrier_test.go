package waybill_test

import (
	"context"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestReceive(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	other := issue(t, auth, Cell.To("b")).Token()
	for _, test := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, "absent"},
		{"none", []string{}, "absent"},
		{"one", []string{token}, "ok"},
		{"empty", []string{""}, "malformed"},
		{"two", []string{token, other}, "ambiguous"},
		{"the same twice", []string{token, token}, "ambiguous"},
		{"one and an empty one", []string{token, ""}, "ambiguous"},
		{"an empty one and one", []string{"", token}, "ambiguous"},
		{"joined by a proxy", []string{token + "," + other}, "malformed"},
		{"joined by a proxy", []string{token + ", " + token}, "malformed"},
	} {
		ctx, hop := auth.Receive(t.Context(), test.values, nil)
		wb, err := waybill.FromContext(ctx)
		if got := waybill.Reason(err); got != test.want || waybill.Reason(hop.Err()) != test.want {
			t.Errorf("%s: got %s and %v, want %s", test.name, got, hop.Err(), test.want)
		}
		if (wb != nil) != (test.want == "ok") || !hop.Fresh() {
			t.Errorf("%s: got %v, fresh %v, want a waybill only if ok, and fresh", test.name, wb, hop.Fresh())
		}
	}
}

// TestReceiveOnce checks that a request is opened once, however many layers receive it, and that
// any other waybill in the context is hidden.
func TestReceiveOnce(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	other := issue(t, auth, Cell.To("b")).Token()
	const fresh, reused = true, false
	for _, test := range []struct {
		name         string
		outer, inner []string
		fresh        bool
		want         string
	}{
		{"the same token", []string{token}, []string{token}, reused, "ok"},
		{"none twice", nil, nil, reused, "absent"},
		{"the same garbage", []string{"x"}, []string{"x"}, reused, "malformed"},
		{"empty twice", []string{""}, []string{""}, reused, "malformed"},
		{"another token", []string{token}, []string{other}, fresh, "ok"},
		{"token, then none", []string{token}, nil, fresh, "absent"},
		{"none, then token", nil, []string{token}, fresh, "ok"},
		{"none, then empty", nil, []string{""}, fresh, "malformed"},
		{"empty, then none", []string{""}, nil, fresh, "absent"},
		{"one seen outside, two inside", []string{token}, []string{token, token}, fresh, "ambiguous"},
		{"two outside, one inside", []string{token, token}, []string{token}, fresh, "ok"},
		{"two twice", []string{token, token}, []string{token, token}, fresh, "ambiguous"},
		{"one letter more", []string{token}, []string{token + "A"}, fresh, "malformed"},
	} {
		outer, first := auth.Extract(t.Context(), test.outer, nil)
		type key struct{}
		between := context.WithValue(outer, key{}, "v")
		inner, second := auth.Receive(between, test.inner, nil)
		if got := waybill.Reason(second.Err()); got != test.want || second.Fresh() != test.fresh {
			t.Errorf("%s: got %s, fresh %v, want %s, %v", test.name, got, second.Fresh(), test.want, test.fresh)
		}
		if inner.Value(key{}) != "v" {
			t.Errorf("%s: the context lost a value", test.name)
		}
		if first.Outermost() || !second.Outermost() {
			t.Errorf("%s: Outermost: want the Receive, and not the Extract", test.name)
		}
		if test.want == "ok" && !test.fresh {
			change(t, inner, Cell.To("c"))
			wantClaim(t, outer, Cell, "c")
		} else if test.want == "ok" {
			change(t, inner, Cell.To("c"))
			if got, _ := Cell.Get(outer); got == "c" {
				t.Errorf("%s: a change in one hop is seen in the other", test.name)
			}
		}
	}
}

// TestReceiveMasks checks that the waybill of an inherited context is never the waybill of a
// message.
func TestReceiveMasks(t *testing.T) {
	auth, foreign := authority(t), authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	local := must(auth.Start(t.Context(), Cell.To("shared")))(t)
	for name, ctx := range map[string]context.Context{
		"started": local, "detached": waybill.Detach(waybilltest.Context(t, auth)), "received": waybilltest.Context(t, auth),
		"foreign": must(foreign.Start(t.Context()))(t), "reissued": must(waybill.Reissue(local))(t),
	} {
		inner, hop := auth.Receive(ctx, nil, nil)
		if _, err := waybill.FromContext(inner); err != waybill.ErrNoWaybill || !hop.Fresh() {
			t.Errorf("%s: got %v, fresh %v, want ErrNoWaybill", name, err, hop.Fresh())
		}
		inner, hop = auth.Receive(ctx, []string{token}, nil)
		if got, _ := Cell.Get(inner); got != "a" || !hop.Fresh() {
			t.Errorf("%s: got %q, fresh %v, want the cell of the message", name, got, hop.Fresh())
		}
	}
	// This holds even for the same token, because that journey was started here, not received.
	inner, hop := auth.Receive(local, []string{send(t, auth, local).Token()}, nil)
	if !hop.Fresh() {
		t.Error("a started journey was used as a received one")
	}
	change(t, inner, Cell.To("b"))
	wantClaim(t, local, Cell, "shared")
	// It also holds for the outcome of another Authority, and of a hop that has ended.
	outer, _ := foreign.Receive(t.Context(), []string{token}, nil)
	if _, hop := auth.Receive(outer, []string{token}, nil); !hop.Fresh() {
		t.Error("the outcome of another Authority was used again")
	}
	outer, hop = receive(t, auth, token)
	hop.Commit(waybill.Succeeded)
	inner, again := auth.Receive(outer, []string{token}, nil)
	if !again.Fresh() || !again.Outermost() {
		t.Error("the outcome of a hop that has ended was used again")
	}
	change(t, inner, Cell.To("b"))
}
