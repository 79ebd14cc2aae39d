package waybill_test

import (
	"context"
	"testing"

	"github.com/waybill-go/waybill"
)

// TestReceiveSource checks that the layers of one request share a hop, and that requests which
// inherit a context do not.
func TestReceiveSource(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	type header map[string][]string
	one, other := header{}, header{}
	type connection struct{ name string }
	pointer := &connection{"one"}
	for _, test := range []struct {
		name         string
		outer, inner any
		begun        bool // the outer layer is a carrier, and not a propagator
		fresh        bool
	}{
		{"the same header", one, one, false, false},
		{"the same header, begun", one, one, true, false},
		{"the same pointer, begun", pointer, pointer, true, false},
		{"another header", one, other, false, true},
		{"another header, begun", one, other, true, true},
		{"another pointer", pointer, &connection{"one"}, false, true},
		{"a header, then none", one, nil, false, true},
		{"none, then a header", nil, one, false, false},
		{"none, then a header, begun", nil, one, true, true},
		{"none twice", nil, nil, false, false},
		{"none twice, begun", nil, nil, true, true},
		{"a nil header, begun", header(nil), header(nil), true, true},
		{"a struct, begun", connection{"one"}, connection{"one"}, true, true},
	} {
		for _, values := range [][]string{nil, {token}, {"garbage"}} {
			open := auth.Extract
			if test.begun {
				open = auth.Receive
			}
			outer, hop := open(t.Context(), values, test.outer)
			inner, again := auth.Receive(outer, values, test.inner)
			if again.Fresh() != test.fresh || waybill.Reason(again.Err()) != waybill.Reason(hop.Err()) {
				t.Errorf("%s, %d values: got fresh %v, %v, want %v and the same outcome",
					test.name, len(values), again.Fresh(), again.Err(), test.fresh)
			}
			if hop.Outermost() != test.begun || again.Outermost() == (test.begun && !test.fresh) {
				t.Errorf("%s, %d values: Outermost: got %v and %v, want one owner of each hop",
					test.name, len(values), hop.Outermost(), again.Outermost())
			}
			if values != nil {
				continue
			}
			// A journey that one request begins belongs to no other request.
			if _, err := auth.Start(inner, Cell.To("mine")); err != nil {
				t.Fatal(err)
			}
			if _, err := waybill.FromContext(outer); (err == nil) == test.fresh {
				t.Errorf("%s: a journey begun inside: outside got %v", test.name, err)
			}
		}
	}
	// No layer shares a hop that has ended.
	outer, hop := auth.Receive(t.Context(), nil, one)
	hop.Commit(waybill.Succeeded)
	if _, again := auth.Receive(outer, nil, one); !again.Fresh() {
		t.Error("the outcome of a hop that has ended was used again")
	}
}

// TestAdopted checks that a carrier which continues the outcome of a propagator owns the hop, and
// that its inner layers find the hop by the carrier's source.
func TestAdopted(t *testing.T) {
	auth := authority(t)
	stream := new(int)
	for _, values := range [][]string{nil, {issue(t, auth, Cell.To("a")).Token()}} {
		extracted, _ := auth.Extract(t.Context(), values, nil)
		outer, hop := auth.Receive(extracted, values, stream)
		if hop.Fresh() || !hop.Outermost() {
			t.Fatalf("got fresh %v, outermost %v, want the propagator's outcome", hop.Fresh(), hop.Outermost())
		}
		hop.Stripped(stream)
		inner, again := auth.Receive(outer, nil, stream)
		if again.Fresh() || again.Outermost() || inner != outer {
			t.Error("an inner layer of the same source got another hop")
		}
	}
}

// TestStripped checks that an inner layer continues the hop if its source is the one passed to
// Stripped. With another source and no token, it has no waybill.
func TestStripped(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	type header map[string][]string
	original, stripped, other := header{}, header{}, header{}
	ctx, hop := auth.Receive(t.Context(), []string{token}, original)
	hop.Stripped(stripped)
	for _, test := range []struct {
		name   string
		values []string
		source any
		fresh  bool
	}{
		{"the stripped carrier", nil, stripped, false},
		{"the original carrier", []string{token}, original, false},
		{"the original carrier, without its token", nil, original, true},
		{"the stripped carrier, with a token", []string{token}, stripped, true},
		{"another carrier", nil, other, true},
		{"no carrier", nil, nil, true},
	} {
		inner, again := auth.Receive(ctx, test.values, test.source)
		if again.Fresh() != test.fresh {
			t.Errorf("%s: got fresh %v, want %v", test.name, again.Fresh(), test.fresh)
		}
		_, err := waybill.FromContext(inner)
		if want := test.fresh && test.values == nil; (err == waybill.ErrNoWaybill) != want {
			t.Errorf("%s: got %v, want no waybill: %v", test.name, err, want)
		}
	}
	hop.Discard()
	if _, again := auth.Receive(ctx, nil, stripped); !again.Fresh() {
		t.Error("a hop was continued after its end")
	}
}

// TestExtractLeaves checks that a propagator without a token leaves the hop that a carrier has
// begun, for any source and until the hop has ended. In every other context it hides the waybill.
func TestExtractLeaves(t *testing.T) {
	auth, foreign := authority(t), authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	type header map[string][]string
	for _, by := range []*waybill.Authority{auth, foreign} {
		for _, source := range []any{nil, header{}} {
			ctx, hop := auth.Receive(t.Context(), []string{token}, header{})
			child, again := by.Extract(context.WithValue(ctx, hop, 1), nil, source)
			if again.Fresh() || again.Outermost() {
				t.Errorf("source %v: Extract made a hop", source != nil)
			}
			wantClaim(t, child, Cell, "a")
			change(t, child, Cell.To("b"))
			if hop.Return(waybill.Succeeded) == "" {
				t.Errorf("source %v: the change does not go back", source != nil)
			}
			// The hop's own token belongs to this request. Another token is another message.
			if _, same := auth.Extract(ctx, []string{token}, source); same.Fresh() {
				t.Error("the token of the hop was opened again")
			}
			if _, other := by.Extract(ctx, []string{issue(t, auth).Token()}, source); !other.Fresh() {
				t.Error("another token was not opened")
			}
			hop.Commit(waybill.Succeeded)
			ended, _ := by.Extract(ctx, nil, source)
			if _, err := waybill.FromContext(ended); err != waybill.ErrNoWaybill {
				t.Errorf("source %v, ended: got %v, want ErrNoWaybill", source != nil, err)
			}
		}
	}
	// A request without a token is also a hop.
	ctx, _ := auth.Receive(t.Context(), nil, nil)
	if _, err := auth.Start(ctx, Cell.To("new")); err != nil {
		t.Fatal(err)
	}
	child, _ := auth.Extract(ctx, nil, nil)
	wantClaim(t, child, Cell, "new")
	// A context derived from a hop belongs to the hop.
	ctx, _ = auth.Receive(t.Context(), []string{token}, nil)
	for name, derived := range map[string]context.Context{"reissued": must(waybill.Reissue(ctx))(t), "detached": waybill.Detach(ctx)} {
		child, _ := auth.Extract(derived, nil, nil)
		if got, err := Cell.Lookup(child); got != "a" {
			t.Errorf("%s: got %q, %v, want the claims of the hop", name, got, err)
		}
	}
	// A waybill whose hop no carrier has begun is hidden.
	extracted, _ := auth.Extract(t.Context(), []string{token}, nil)
	for name, ctx := range map[string]context.Context{
		"extracted": extracted, "started": must(auth.Start(t.Context()))(t), "detached": waybill.Detach(extracted),
	} {
		hidden, _ := auth.Extract(ctx, nil, nil)
		if _, err := waybill.FromContext(hidden); err != waybill.ErrNoWaybill {
			t.Errorf("%s: got %v, want ErrNoWaybill", name, err)
		}
	}
}
