package waybill_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

type place struct {
	City string `json:"city"`
	Row  *int   `json:"row,omitempty"`
}

// roundTrip sets a claim, puts the token on the wire and reads the claim at the other end.
func roundTrip[T any](t *testing.T, v T) {
	t.Helper()
	c := waybill.NewClaim[T]("c")
	auth := waybilltest.Authority(t, waybill.Claims(c))
	ctx, _ := receive(t, auth, issue(t, auth, c.To(v)).Token())
	got, err := c.Lookup(ctx)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("Lookup: got %#v, %v, want %#v", got, err, v)
	}
	if got, ok := c.Get(ctx); !ok || !reflect.DeepEqual(got, v) {
		t.Errorf("Get: got %#v, %v, want %#v", got, ok, v)
	}
	if got, ok := c.Of(now(t, ctx)); !ok || !reflect.DeepEqual(got, v) {
		t.Errorf("Of: got %#v, %v, want %#v", got, ok, v)
	}
}

func TestClaimRoundTrip(t *testing.T) {
	row := 7
	roundTrip(t, "")
	roundTrip(t, "eu-3")
	roundTrip(t, "\"\\\n\t\u2028<&>\x00é😀")
	roundTrip(t, 0)
	roundTrip(t, int64(math.MinInt64))
	roundTrip(t, uint64(math.MaxUint64))
	roundTrip(t, 1.5e-9)
	roundTrip(t, true)
	roundTrip(t, []string{})
	roundTrip(t, []string(nil))
	roundTrip(t, []string{"a", "b"})
	roundTrip(t, map[string]int{"a": 1})
	roundTrip(t, (*place)(nil))
	roundTrip(t, &place{"Ghent", &row})
	roundTrip(t, place{City: "Ghent"})
	roundTrip(t, json.RawMessage(`{"a":[1,2]}`))
	roundTrip(t, time.Unix(1e9, 0).UTC())
	roundTrip[any](t, nil)
	roundTrip[any](t, map[string]any{"a": []any{json.Number("1"), "b", nil}})
	roundTrip[any](t, map[string]any{"id": json.Number("9007199254740993")})
	roundTrip(t, "\\ufffd and \ufffd")
}

// TestInvalidUTF8 checks that a value is never stored as another one.
func TestInvalidUTF8(t *testing.T) {
	text, list, names := waybill.NewClaim[string]("text"), waybill.NewClaim[[]string]("list"), waybill.NewClaim[map[string]int]("names")
	auth := waybilltest.Authority(t, waybill.Claims(text, list, names))
	for name, change := range map[string]waybill.Change{
		"string": text.To("a\xff"), "after a backslash": text.To(`\` + "\xff"), "in a list": list.To([]string{"ok", "\xc3"}),
		"a name": names.To(map[string]int{"\xff": 1}),
	} {
		if _, err := auth.Issue(change); !errors.Is(err, waybill.ErrClaimType) || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%s: got %v, want ErrClaimType about UTF-8", name, err)
		}
	}
}

// TestWithKeepsNumbers checks that a change of one member leaves the digits of the others.
func TestWithKeepsNumbers(t *testing.T) {
	c := waybill.NewClaim[map[string]any]("m")
	auth := waybilltest.Authority(t, waybill.Claims(c))
	ctx := waybilltest.Context(t, auth, c.To(map[string]any{"id": int64(9007199254740993)}))
	change(t, ctx, c.With(func(m map[string]any) map[string]any { m["x"] = 1; return m }))
	if got := string(now(t, ctx).Payload()); !strings.Contains(got, `"id":9007199254740993`) {
		t.Errorf("got %s, want all digits of id", got)
	}
}

// TestClaimAbsentOrIllTyped reads claims from one token with claims of other types.
func TestClaimAbsentOrIllTyped(t *testing.T) {
	raw := waybill.NewClaim[json.RawMessage]("c")
	auth := waybilltest.Authority(t, waybill.Claims(raw))
	read := func(ctx context.Context, as string) error {
		var err error
		switch as {
		case "string":
			_, err = waybill.NewClaim[string]("c").Lookup(ctx)
		case "int":
			_, err = waybill.NewClaim[int]("c").Lookup(ctx)
		case "uint8":
			_, err = waybill.NewClaim[uint8]("c").Lookup(ctx)
		case "bool":
			_, err = waybill.NewClaim[bool]("c").Lookup(ctx)
		case "list":
			_, err = waybill.NewClaim[[]int]("c").Lookup(ctx)
		case "pointer":
			_, err = waybill.NewClaim[*int]("c").Lookup(ctx)
		case "struct":
			_, err = waybill.NewClaim[place]("c").Lookup(ctx)
		case "time":
			_, err = waybill.NewClaim[time.Time]("c").Lookup(ctx)
		}
		return err
	}
	for _, test := range []struct {
		value string
		fit   string // the types it fits
	}{
		{"", ""},
		{`null`, "list pointer"},
		{`"x"`, "string"},
		{`"2000-01-01T00:00:00Z"`, "string time"},
		{`"\u0078"`, "string"},
		{`1`, "int uint8 pointer"},
		{`256`, "int pointer"},
		{`-1`, "int pointer"},
		{`1.5`, ""},
		{`1e2`, ""},
		{`true`, "bool"},
		{`[]`, "list"},
		{`["x"]`, ""},
		{`{}`, "struct"},
		{`{"city":1}`, ""},
	} {
		var changes []waybill.Change
		want := waybill.ErrNoClaim
		if test.value != "" {
			changes, want = append(changes, raw.To(json.RawMessage(test.value))), waybill.ErrClaimType
		}
		ctx := waybilltest.Context(t, auth, changes...)
		for _, as := range []string{"string", "int", "uint8", "bool", "list", "pointer", "struct", "time"} {
			err := read(ctx, as)
			if strings.Contains(" "+test.fit+" ", " "+as+" ") {
				if err != nil {
					t.Errorf("%q as %s: got %v, want a value", test.value, as, err)
				}
			} else if !errors.Is(err, want) {
				t.Errorf("%q as %s: got %v, want %v", test.value, as, err, want)
			}
		}
		if got, want := now(t, ctx).Has("c"), test.value != ""; got != want {
			t.Errorf("%q: Has: got %v, want %v", test.value, got, want)
		}
	}
}

func TestClaimWithoutWaybill(t *testing.T) {
	if got, err := Cell.Lookup(t.Context()); got != "" || err != waybill.ErrNoWaybill {
		t.Errorf("Lookup: got %q, %v, want ErrNoWaybill", got, err)
	}
	if got, ok := Cell.Get(t.Context()); got != "" || ok {
		t.Errorf("Get: got %q, %v, want no value", got, ok)
	}
	if got, ok := Cell.Of(nil); got != "" || ok {
		t.Errorf("Of(nil): got %q, %v, want no value", got, ok)
	}
	ctx, _ := authority(t).Receive(t.Context(), []string{"garbage"}, nil)
	_, err := Cell.Lookup(ctx)
	wantIs(t, err, waybill.ErrMalformed)
}

// TestClaimValueIsACopy changes what Get returned.
func TestClaimValueIsACopy(t *testing.T) {
	raw := waybill.NewClaim[json.RawMessage]("c")
	auth := waybilltest.Authority(t, waybill.Claims(raw))
	ctx := waybilltest.Context(t, auth, raw.To(json.RawMessage(`"good"`)))
	got, _ := raw.Get(ctx)
	copy(got, `"evil"`)
	if again, _ := raw.Get(ctx); string(again) != `"good"` {
		t.Errorf("got %s, want \"good\": a claim was changed through the value returned by Get", again)
	}
	payload := now(t, ctx).Payload()
	for i := range payload {
		payload[i] = 'x'
	}
	if again, _ := raw.Get(ctx); string(again) != `"good"` {
		t.Errorf("got %s, want \"good\": a claim was changed through the payload", again)
	}
}

func TestChange(t *testing.T) {
	auth := authority(t)
	inc := func(n int) int { return n + 1 }
	for _, test := range []struct {
		name    string
		changes []waybill.Change
		want    string
	}{
		{"none", nil, `"cell":"a","seats":1`},
		{"set", []waybill.Change{Cell.To("b")}, `"cell":"b","seats":1`},
		{"set to the same", []waybill.Change{Cell.To("a")}, `"cell":"a","seats":1`},
		{"add", []waybill.Change{Price.To(9)}, `"cell":"a","seats":1,"price":9`},
		{"delete", []waybill.Change{Cell.Delete()}, `"seats":1`},
		{"delete what is not there", []waybill.Change{Price.Delete()}, `"cell":"a","seats":1`},
		{"delete all", []waybill.Change{Cell.Delete(), Seats.Delete()}, ``},
		{"with", []waybill.Change{Seats.With(inc)}, `"cell":"a","seats":2`},
		{"with twice", []waybill.Change{Seats.With(inc), Seats.With(inc)}, `"cell":"a","seats":3`},
		{"with of nothing", []waybill.Change{Price.With(inc)}, `"cell":"a","seats":1,"price":1`},
		{"set, then with", []waybill.Change{Seats.To(10), Seats.With(inc)}, `"cell":"a","seats":11`},
		{"delete, then with", []waybill.Change{Seats.Delete(), Seats.With(inc)}, `"cell":"a","seats":1`},
		{"set, then delete", []waybill.Change{Price.To(1), Price.Delete()}, `"cell":"a","seats":1`},
		{"delete, then set", []waybill.Change{Cell.Delete(), Cell.To("c")}, `"cell":"c","seats":1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := waybilltest.Context(t, auth, Cell.To("a"), Seats.To(1))
			change(t, ctx, test.changes...)
			wantClaims(t, now(t, ctx), test.want)
			next, _ := receive(t, auth, send(t, auth, ctx).Token())
			wantClaims(t, now(t, next), strings.TrimPrefix(test.want, ","))
		})
	}
}

func TestChangeErrors(t *testing.T) {
	auth := authority(t)
	number := waybill.NewClaim[float64]("seats")
	text := waybill.NewClaim[string]("seats")
	rawSeats := waybill.NewClaim[json.RawMessage]("seats")
	for _, test := range []struct {
		name   string
		change waybill.Change
		want   error
	}{
		{"undeclared", waybill.NewClaim[int]("other").To(1), waybill.ErrUndeclared},
		{"undeclared, deleted", waybill.NewClaim[int]("other").Delete(), waybill.ErrUndeclared},
		{"registered", waybill.NewClaim[int64]("exp").To(1), waybill.ErrUndeclared},
		{"fixed", Tenant.To("other"), waybill.ErrFixed},
		{"fixed, to the same", Tenant.To("acme"), waybill.ErrFixed},
		{"fixed, deleted", Tenant.Delete(), waybill.ErrFixed},
		{"fixed, with", Tenant.With(strings.ToUpper), waybill.ErrFixed},
		{"not a number", number.To(math.NaN()), waybill.ErrClaimType},
		{"ill-typed with", text.With(strings.ToUpper), waybill.ErrClaimType},
		{"no JSON", waybill.NewClaim[func()]("seats").To(nil), waybill.ErrClaimType},
		{"doubled names", rawSeats.To(json.RawMessage(`{"a":1,"a":2}`)), waybill.ErrClaimType},
		{"lone surrogate", rawSeats.To(json.RawMessage(`"\ud800"`)), waybill.ErrClaimType},
		{"too deep", rawSeats.To(json.RawMessage(strings.Repeat("[", 33) + strings.Repeat("]", 33))), waybill.ErrClaimType},
		{"too large", Receipt.To(strings.Repeat("x", waybill.DefaultIssueLimit)), waybill.ErrTooLarge},
		{"larger than any token", Receipt.To(strings.Repeat("x", 1<<20)), waybill.ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := waybilltest.Context(t, auth, Cell.To("a"), Seats.To(1), Tenant.To("acme"))
			before := now(t, ctx)
			// All or nothing: there is a valid change on each side of the invalid one.
			err := waybill.Update(ctx, Price.To(5), test.change, Cell.To("b"))
			wantIs(t, err, test.want)
			if now(t, ctx) != before {
				t.Errorf("got %s, want nothing changed", now(t, ctx).Payload())
			}
			if test.want != waybill.ErrFixed {
				_, err := auth.Issue(Price.To(5), Seats.To(1), test.change)
				wantIs(t, err, test.want)
			}
		})
	}
}

func TestClaimNames(t *testing.T) {
	for _, test := range []struct {
		name string
		ok   bool
	}{
		{"cell", true}, {"x", true}, {"https://shop.example/claims/cell", true}, {"a.b-c_d:e/f", true}, {"Exp", true}, {"wb", true},
		{strings.Repeat("n", 128), true},
		{strings.Repeat("n", 129), false}, {"", false}, {"a b", false}, {`a"`, false}, {`a\`, false}, {"a\n", false}, {"ä", false},
		{"a\x7f", false}, {"<a>", false}, {"a&b", false},
		{"iss", false}, {"sub", false}, {"aud", false}, {"exp", false}, {"nbf", false}, {"iat", false}, {"jti", false},
		{"sid", false}, {"end", false}, {"bas", false}, {"cnf", false}, {"rev", false}, {"has", false}, {"was", false}, {"upd", false}, {"sup", false},
		{"wb_", false}, {"wb_x", false},
	} {
		c := waybill.NewClaim[int](test.name)
		auth, err := waybill.New(waybilltest.Domain, waybilltest.Ring(), waybill.Claims(c))
		if (err == nil) != test.ok {
			t.Errorf("%q: got %v, want it accepted: %v", test.name, err, test.ok)
			continue
		}
		if err != nil {
			continue
		}
		ctx := waybilltest.Context(t, auth, c.To(5))
		wantClaim(t, ctx, c, 5)
	}
	ring := waybilltest.Ring()
	if _, err := waybill.New(waybilltest.Domain, ring, waybill.Claims(Cell), waybill.Claims(waybill.NewClaim[int]("cell"))); err == nil {
		t.Error("a claim declared twice: got no error")
	}
}

func TestUnion(t *testing.T) {
	for _, test := range []struct{ base, mine, theirs, want string }{
		{"", "a", "b", "a b"},
		{"", "b a", "c", "a b c"},
		{"a", "a b", "a c", "a b c"},
		{"a b", "a", "a b c", "a c"},
		{"a b", "a", "b", ""},
		{"a b", "", "", ""},
		{"a", "b b", "b", "b"},
	} {
		split := strings.Fields
		if got := waybill.Union(split(test.base), split(test.mine), split(test.theirs)); strings.Join(got, " ") != test.want {
			t.Errorf("Union(%s; %s; %s): got %q, want %s", test.base, test.mine, test.theirs, got, test.want)
		}
	}
	waybilltest.CheckRule(t, waybill.Union, []string{}, []string{"a"}, []string{"b"}, []string{"a", "b"}, []string{"a", "b", "c"})
	waybilltest.CheckRule(t, waybill.Max, 1, 2, 3)
	waybilltest.CheckRule(t, waybill.Min, -1, 0, 2)
	waybilltest.CheckRule(t, longest, "", "a", "b", "bb")
}

// TestTooManyClaims checks that a token with more claims than an opener accepts is not issued.
func TestTooManyClaims(t *testing.T) {
	var declared []waybill.Declaration
	var changes []waybill.Change
	for i := range 252 { // in addition to the five of every token
		c := waybill.NewClaim[int](strconv.Itoa(i))
		declared = append(declared, c)
		changes = append(changes, c.To(0))
	}
	auth := waybilltest.Authority(t, waybill.Claims(declared...), waybill.AcceptLimit(7168), waybill.IssueLimit(7168))
	if wb, err := auth.Issue(changes...); !errors.Is(err, waybill.ErrTooLarge) {
		t.Errorf("257 claims: got %v, %v, want ErrTooLarge", wb, err)
	}
	if _, err := auth.Issue(changes[:251]...); !errors.Is(err, waybill.ErrTooLarge) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("256 claims: got %v, want an error: no change could follow", err)
	}
	ctx := waybilltest.Context(t, auth, changes[:249]...) // with "bas" there is room for one more
	change(t, ctx, changes[1])
	before := now(t, ctx)
	wantIs(t, waybill.Update(ctx, changes[249], changes[250]), waybill.ErrTooLarge)
	if now(t, ctx) != before {
		t.Error("a failed change changed the waybill")
	}
	change(t, ctx, changes[249])
	if _, err := auth.Open(send(t, auth, ctx).Token()); err != nil {
		t.Errorf("256 claims: got %v", err)
	}
}
