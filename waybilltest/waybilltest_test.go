package waybilltest_test

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
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// recorder is a testing.TB that records failures instead of failing.
type recorder struct {
	testing.TB
	ctx    context.Context
	failed []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

type fatal struct{}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(fatal{})
}

// failures runs a test that may fail, and returns its failures.
func failures(t *testing.T, run func(testing.TB)) []string {
	r := &recorder{ctx: t.Context()}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (fatal{}) {
				panic(v)
			}
		}()
		run(r)
	}()
	return r.failed
}

func TestAuthority(t *testing.T) {
	for name, opt := range map[string]waybill.Option{"signed": waybill.Claims(), "sealed": waybill.Protect(waybill.Sealed), "public": waybill.Protect(waybill.Public)} {
		front, back := waybilltest.Authority(t, opt), waybilltest.Authority(t, opt)
		wb, err := front.Issue()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := back.Open(wb.Token()); err != nil || wb.Domain() != waybilltest.Domain || wb.Protection().String() != name {
			t.Errorf("%s: got %v, %v, want a waybill that both services accept", name, wb, err)
		}
	}
	if got := failures(t, func(t testing.TB) { waybilltest.Authority(t, waybill.Life(-1)) }); len(got) != 1 || !strings.Contains(got[0], "Life") {
		t.Errorf("bad option: got %q, want one failure about Life", got)
	}
}

// TestAnyClock checks that the keys are valid at every time that a test's clock may show. A sid has
// 32 bits for the second in which its journey began: they last until 2106.
func TestAnyClock(t *testing.T) {
	for _, year := range []int{1971, 2000, 2026, 2105} {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		auth := waybilltest.Authority(t, waybill.Clock(func() time.Time { return at }))
		wb, err := auth.Issue()
		if err != nil {
			t.Fatalf("%d: %v", year, err)
		}
		if _, err := auth.Open(wb.Token()); err != nil {
			t.Errorf("%d: %v", year, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		waybilltest.Context(t, waybilltest.Authority(t))
	})
}

func TestContext(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats))
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	if got, ok := Cell.Get(ctx); !ok || got != "eu-3" {
		t.Errorf("got %q, %v, want eu-3", got, ok)
	}
	if err := waybill.Update(ctx, Seats.To(2)); err != nil {
		t.Error(err)
	}
	if _, err := auth.Start(ctx); !errors.Is(err, waybill.ErrStarted) {
		t.Errorf("Start: got %v, want ErrStarted: the context already has a waybill", err)
	}
	call, err := auth.Send(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The context belongs to a hop: a changed token names the token that the hop received.
	if wb, err := auth.Open(call.Token()); err != nil || !strings.Contains(string(wb.Payload()), `"bas":"`) {
		t.Errorf("got %s, %v, want a token made from the received one", wb.Payload(), err)
	}
	_, hop := auth.Receive(ctx, []string{"another"}, nil)
	if !hop.Outermost() {
		t.Error("another message in this context does not begin its own hop")
	}
	got := failures(t, func(t testing.TB) { waybilltest.Context(t, auth, waybill.NewClaim[int]("other").To(1)) })
	if len(got) != 1 || !strings.Contains(got[0], "not declared") {
		t.Errorf("undeclared claim: got %q, want one failure about it", got)
	}
}

func TestContextEnds(t *testing.T) {
	var ctx context.Context
	t.Run("handler", func(t *testing.T) {
		ctx = waybilltest.Context(t, waybilltest.Authority(t))
		if ctx.Err() != nil {
			t.Errorf("got %v, want no error during the test", ctx.Err())
		}
	})
	if ctx.Err() == nil {
		t.Error("the context did not end with its test")
	}
}

func TestCheckRuleAccepts(t *testing.T) {
	waybilltest.CheckRule(t, waybill.Max, 1, 2, 3)
	waybilltest.CheckRule(t, waybill.Min, "a", "b", "")
	waybilltest.CheckRule(t, waybill.Union, []string{}, []string{"a"}, []string{"a", "b"}, []string{"c"})
	waybilltest.CheckRule(t, func(_, mine, theirs bool) bool { return mine || theirs }, true, false)
}

func TestCheckRuleFails(t *testing.T) {
	mine := func(_, mine, _ int) int { return mine }
	sum := func(base, mine, theirs int) int { return mine + theirs - base }
	average := func(_, mine, theirs int) int { return (mine + theirs) / 2 }
	zero := func(_, _, _ int) int { return 0 }
	beats := func(_, a, b int) int { // rock, paper, scissors
		if (a+1)%3 == b {
			return b
		}
		return a
	}
	onlyWithBase := func(base, mine, theirs int) int {
		if base == 0 { // no base: the first change wins
			return mine
		}
		return max(mine, theirs)
	}
	for _, test := range []struct {
		name string
		rule func(base, mine, theirs int) int
		want []string
	}{
		{"mine", mine, []string{"not commutative"}},
		{"sum", sum, []string{"not idempotent"}},
		{"average", average, []string{"not associative"}},
		{"zero", zero, []string{"not idempotent"}},
		{"rock, paper, scissors", beats, []string{"not associative"}},
		{"bad without a base", onlyWithBase, []string{"not commutative with base 0"}},
	} {
		got := failures(t, func(t testing.TB) { waybilltest.CheckRule(t, test.rule, 1, 2, 3) })
		for _, want := range test.want {
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("%s: got %q, want a failure with %q", test.name, got, want)
			}
		}
		if len(got) == 0 || len(got) > 9 {
			t.Errorf("%s: got %d failures, want 1 to 9", test.name, len(got))
		}
	}
	concat := func(_, mine, theirs []string) []string { return append(slices.Clone(mine), theirs...) }
	if got := failures(t, func(t testing.TB) { waybilltest.CheckRule(t, concat, []string{"a"}, []string{"b"}) }); len(got) == 0 {
		t.Error("concatenation of lists passed")
	}
	for _, values := range [][]int{nil, {1}} {
		if got := failures(t, func(t testing.TB) { waybilltest.CheckRule(t, zero, values...) }); len(got) != 1 {
			t.Errorf("%d values: got %q, want one failure", len(values), got)
		}
	}
	if got := failures(t, func(t testing.TB) {
		waybilltest.CheckRule(t, func(_, _, _ func()) func() { return nil }, func() {}, func() {})
	}); len(got) == 0 {
		t.Error("values that cannot be claims passed")
	}
}
