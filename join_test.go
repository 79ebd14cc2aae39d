package waybill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// journeys starts a journey for each list of changes.
func journeys(t testing.TB, auth *waybill.Authority, of ...[]waybill.Change) (parents []context.Context) {
	t.Helper()
	for _, changes := range of {
		parents = append(parents, waybilltest.Context(t, auth, changes...))
	}
	return parents
}

type changes = []waybill.Change

// TestJoinTable joins three parents, for every rule. The claims are compared as a receiver sees
// them.
func TestJoinTable(t *testing.T) {
	auth := authority(t)
	for _, test := range []struct {
		name    string
		parents []changes
		want    string // under DropDisagreement
		differ  string // the claim that RefuseDisagreement refuses
	}{
		{"nothing", []changes{nil, nil, nil}, "", ""},
		{"one parent", []changes{{Cell.To("a"), Tenant.To("x"), Receipt.To("r")}}, `"cell":"a","tenant":"x","receipt":"r"`, ""},
		{"shared by all", []changes{{Cell.To("a"), Tenant.To("x")}, {Tenant.To("x"), Cell.To("a")}}, `"cell":"a","tenant":"x"`, ""},
		{"no rule", []changes{{Cell.To("a"), Seats.To(1)}, {Cell.To("b"), Seats.To(1)}, {Cell.To("a"), Seats.To(1)}}, `"seats":1`, "cell"},
		{"no rule, one lacks it", []changes{{Cell.To("a")}, {}}, "", "cell"},
		{"no rule, the first lacks it", []changes{{}, {Cell.To("a")}, {Cell.To("a")}}, "", "cell"},
		{"fixed", []changes{{Tenant.To("x")}, {Tenant.To("y")}}, "", "tenant"},
		{"greatest", []changes{{Seats.To(2)}, {Seats.To(7)}, {Seats.To(3)}}, `"seats":7`, ""},
		{"least", []changes{{Price.To(4)}, {Price.To(2)}, {Price.To(3)}}, `"price":2`, ""},
		{"union", []changes{{Tags.To([]string{"b"})}, {Tags.To([]string{"c", "a"})}, {Tags.To([]string{"b"})}}, `"tags":["a","b","c"]`, ""},
		{"own rule", []changes{{Stamp.To("aa")}, {Stamp.To("a")}, {Stamp.To("ab")}}, `"stamp":"ab"`, ""},
		{"a rule, one lacks it", []changes{{Seats.To(2)}, {}, {Seats.To(1)}}, `"seats":2`, ""},
		{"a rule, one has it", []changes{{}, {}, {Tags.To([]string{"z", "a"})}}, `"tags":["z","a"]`, ""},
		{"several", []changes{{Cell.To("a"), Receipt.To("1"), Seats.To(1)}, {Receipt.To("2"), Seats.To(5), Cell.To("b")}}, `"seats":5`,
			`cell" "receipt`},
	} {
		t.Run(test.name, func(t *testing.T) {
			parents := journeys(t, auth, test.parents...)
			ctx, err := auth.Join(t.Context(), waybill.DropDisagreement, parents...)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := authority(t).Open(now(t, ctx).Token())
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				if got := string(opened.Payload()); strings.Count(got, ":") != 5 {
					t.Errorf("claims: got %s, want registered ones only", got)
				}
			} else {
				wantClaims(t, opened, test.want)
			}
			ctx, err = auth.Join(t.Context(), waybill.RefuseDisagreement, parents...)
			if test.differ == "" {
				if err != nil {
					t.Errorf("RefuseDisagreement: %v, want no error", err)
				}
				return
			}
			wantIs(t, err, waybill.ErrDisagree)
			if !strings.Contains(err.Error(), `["`+test.differ+`"]`) {
				t.Errorf("error %q, want one that names %s", err, test.differ)
			}
			_, err = waybill.FromContext(ctx)
			wantIs(t, err, waybill.ErrNoWaybill)
		})
	}
}

// TestJoinOrder joins the same parents in many orders.
func TestJoinOrder(t *testing.T) {
	auth := authority(t)
	var of []changes
	for i := range 9 {
		of = append(of, changes{Seats.To(i), Price.To(-i), Tags.To([]string{string(rune('a' + i%4))}), Stamp.To(strings.Repeat("x", i))})
	}
	parents := journeys(t, auth, of...)
	for range 20 {
		rand.Shuffle(len(parents), func(i, j int) { parents[i], parents[j] = parents[j], parents[i] })
		ctx, err := auth.Join(t.Context(), waybill.RefuseDisagreement, parents...)
		if err != nil {
			t.Fatal(err)
		}
		wantClaims(t, now(t, ctx), `"seats":8,"price":-8,"tags":["a","b","c","d"],"stamp":"xxxxxxxx"`)
	}
}

// TestJoinUndeclared joins claims that the joining service does not know.
func TestJoinUndeclared(t *testing.T) {
	all := authority(t)
	few := waybilltest.Authority(t, waybill.Claims(Seats))
	var parents []context.Context
	for _, cell := range []string{"a", "b"} {
		ctx, _ := receive(t, few, issue(t, all, Tags.To([]string{"kept"}), Cell.To(cell), Seats.To(1)).Token())
		parents = append(parents, ctx)
	}
	_, err := few.Join(t.Context(), waybill.RefuseDisagreement, parents...)
	wantIs(t, err, waybill.ErrDisagree)
	ctx, err := few.Join(t.Context(), waybill.DropDisagreement, parents...)
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, now(t, ctx), `"tags":["kept"],"seats":1`)
}

// TestJoinIsAJourney checks that a join has its own sid, a new life, the earliest begin and end of
// its parents, and their current claims.
func TestJoinIsAJourney(t *testing.T) {
	var ahead time.Duration
	clock := waybill.Clock(func() time.Time { return time.Now().Add(ahead) })
	auth := authority(t, clock)
	early := waybilltest.Context(t, auth, Seats.To(1))
	ahead = time.Hour
	later := waybilltest.Context(t, auth, Seats.To(2))
	change(t, later, Seats.To(3)) // the parent's current waybill, not the received one

	ahead = 2 * time.Hour // both have expired
	ctx, err := auth.Join(early, waybill.RefuseDisagreement, later, early, later)
	if err != nil {
		t.Fatal(err)
	}
	wb := now(t, ctx)
	wantClaim(t, ctx, Seats, 3)
	if wb.ID() == now(t, early).ID() || wb.ID() == now(t, later).ID() {
		t.Error("the join has the sid of a parent")
	}
	if !wb.Ends().Equal(now(t, early).Ends()) {
		t.Errorf("ends %v, want %v", wb.Ends(), now(t, early).Ends())
	}
	if !wb.Began().Equal(now(t, early).Began()) {
		t.Errorf("began %v, want %v", wb.Began(), now(t, early).Began())
	}
	if got, want := wb.Expires().Sub(wb.Issued()), waybill.DefaultLife; got != want || auth.Now().Sub(wb.Issued()) > 10*time.Second {
		t.Errorf("issued %v for %v, want now for %v", wb.Issued(), got, want)
	}
	send(t, auth, ctx)
	change(t, ctx, Seats.To(9))
	wantClaim(t, early, Seats, 1) // nothing returns to the parents
	wantClaim(t, later, Seats, 3)

	ahead = 11*time.Hour + 50*time.Minute
	ctx, err = auth.Join(t.Context(), waybill.RefuseDisagreement, later, early)
	if err != nil {
		t.Fatal(err)
	}
	if wb := now(t, ctx); !wb.Expires().Equal(wb.Ends()) || !wb.Ends().Equal(now(t, early).Ends()) {
		t.Errorf("expires %v, want the earliest end %v", wb.Expires(), now(t, early).Ends())
	}
	ahead = 12*time.Hour + 10*time.Minute
	_, err = auth.Join(t.Context(), waybill.DropDisagreement, later, early)
	wantIs(t, err, waybill.ErrExpired)
}

// TestJoinOfOneJourney keeps the sid that all parents share.
func TestJoinOfOneJourney(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	var parents []context.Context
	for i := range 3 {
		ctx, hop := receive(t, auth, token)
		change(t, ctx, Seats.To(i+1))
		t.Cleanup(hop.Discard)
		parents = append(parents, ctx)
	}
	ctx, err := auth.Join(t.Context(), waybill.RefuseDisagreement, parents...)
	if err != nil {
		t.Fatal(err)
	}
	wb := now(t, ctx)
	if wb.ID() != now(t, parents[0]).ID() {
		t.Error("the sid has changed")
	}
	wantClaims(t, wb, `"cell":"a","seats":3`)
	if wb.Has("bas") {
		t.Error("the join has a bas")
	}
}

// TestJoinRegistered checks that iss and sub are joined as claims without a rule, and that nbf, jti
// and the claims of edges are dropped.
func TestJoinRegistered(t *testing.T) {
	s := newShop(t)
	auth, seconds := s.auth, time.Now().Unix()
	of := func(claims string) context.Context {
		ctx, _ := receive(t, auth, s.issue(fmt.Sprintf(`{"aud":"shop","sid":"%s","iat":%d,"exp":%d,"end":%d,%s}`,
			sidAt(seconds), seconds, seconds+100, seconds+1000, claims)))
		return ctx
	}
	anna := `"sub":"anna","nbf":1,"jti":"1","rev":3,"has":"AAAAAAAA","was":{"tags":[]},"upd":{"cell":3},"sup":4`
	bob := `"sub":"bob","iss":"idp"`
	ctx, err := auth.Join(t.Context(), waybill.RefuseDisagreement, of(anna), of(anna))
	if err != nil {
		t.Fatal(err)
	}
	wb := now(t, ctx)
	if wb.Subject() != "anna" {
		t.Errorf("claims: got %s, want the sub", wb.Payload())
	}
	for _, name := range []string{"nbf", "jti", "rev", "has", "was", "upd", "sup"} {
		if wb.Has(name) {
			t.Errorf("claims: got %s, want no %s", wb.Payload(), name)
		}
	}
	_, err = auth.Join(t.Context(), waybill.RefuseDisagreement, of(anna), of(bob))
	wantIs(t, err, waybill.ErrDisagree)
	ctx, err = auth.Join(t.Context(), waybill.DropDisagreement, of(anna), of(bob))
	if err != nil {
		t.Fatal(err)
	}
	if wb := now(t, ctx); wb.Has("sub") || wb.Has("iss") {
		t.Errorf("claims: got %s, want neither sub nor iss", wb.Payload())
	}
}

// TestJoinRefused checks that a failed Join returns a context without a waybill, even if it had one
// before.
func TestJoinRefused(t *testing.T) {
	auth := authority(t)
	good := waybilltest.Context(t, auth, Cell.To("a"))
	bad, _ := auth.Receive(t.Context(), []string{"no token"}, nil)
	sealed := authority(t, waybill.Protect(waybill.Sealed), waybill.AlsoOpen(waybill.Sealed, waybill.Signed))
	signed, _ := receive(t, sealed, now(t, good).Token())
	broken := waybill.NewClaim[string]("seats") // the rule cannot read this value
	odd, _ := receive(t, auth, issue(t, waybilltest.Authority(t, waybill.Claims(broken)), broken.To("many")).Token())
	long := journeys(t, auth, changes{Tags.To([]string{strings.Repeat("a", 700)})}, changes{Tags.To([]string{strings.Repeat("b", 700)})},
		changes{Tags.To([]string{strings.Repeat("c", 700)})})
	empty := must(waybill.New(waybilltest.Domain, keyring.NewRing(nil), declareAll()))(t)
	for _, test := range []struct {
		name    string
		auth    *waybill.Authority
		on      waybill.Disagreement
		parents []context.Context
		want    error
	}{
		{"no policy", auth, 0, []context.Context{good}, nil},
		{"no such policy", auth, 3, []context.Context{good}, nil},
		{"no parents", auth, waybill.DropDisagreement, nil, nil},
		{"no waybill", auth, waybill.DropDisagreement, []context.Context{good, t.Context()}, waybill.ErrNoWaybill},
		{"refused", auth, waybill.DropDisagreement, []context.Context{good, bad}, waybill.ErrMalformed},
		{"of another Authority", empty, waybill.DropDisagreement, []context.Context{good}, waybill.ErrForeignDomain},
		{"protections differ", sealed, waybill.DropDisagreement, []context.Context{waybilltest.Context(t, sealed), signed}, waybill.ErrProtection},
		{"rule fails", auth, waybill.DropDisagreement, append(journeys(t, auth, changes{Seats.To(1)}), odd), waybill.ErrMerge},
		{"too large", auth, waybill.DropDisagreement, long, waybill.ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, err := test.auth.Join(good, test.on, test.parents...)
			if err == nil || !errors.Is(err, test.want) && test.want != nil {
				t.Errorf("error %v, want %v", err, test.want)
			}
			_, err = waybill.FromContext(ctx)
			wantIs(t, err, waybill.ErrNoWaybill)
		})
	}
}

// TestJoinReadOnly checks that a node without the private key cannot join.
func TestJoinReadOnly(t *testing.T) {
	key := lasting(t, keyring.Public)
	issuer := must(waybill.New("shop", ringOf(t, "shop", key), waybill.Protect(waybill.Public), declareAll()))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", key.Public()), waybill.Protect(waybill.Public), declareAll()))(t)
	ctx, _ := receive(t, reader, issue(t, issuer, Cell.To("a")).Token())
	_, err := reader.Join(t.Context(), waybill.RefuseDisagreement, ctx, ctx)
	wantIs(t, err, waybill.ErrReadOnly)
}
