package waybilltest

import (
	"bytes"
	"encoding/json"
	"testing"
)

// maxReports bounds what one property of one rule reports.
const maxReports = 3

// CheckRule reports to t where a merge rule is not commutative, associative or idempotent in mine and theirs, for every
// combination of the values as base, mine and theirs; the zero value, which stands for an absent base, is tried as base
// too. The work grows with the fourth power of the number of values: give a handful, among them equal, ordered and
// disjoint ones. Values are compared as the JSON that a token holds, so give them in the form that the rule makes, lists
// for waybill.Union sorted.
//
//	waybilltest.CheckRule(t, waybill.Max, 1, 2, 3)
func CheckRule[T any](t testing.TB, rule func(base, mine, theirs T) T, values ...T) {
	t.Helper()
	if len(values) < 2 {
		t.Errorf("CheckRule: %d values cannot show a difference: give at least two", len(values))
		return
	}
	var zero T
	c := checker[T]{t: t, reports: map[string]int{}}
	for _, base := range append([]T{zero}, values...) {
		for _, a := range values {
			c.equal("idempotent", base, rule(base, a, a), a, "rule(base, %s, itself)", a)
			for _, b := range values {
				ab := rule(base, a, b)
				c.equal("commutative", base, ab, rule(base, b, a), "rule(base, %s, %s), and the other way round", a, b)
				for _, d := range values {
					c.equal("associative", base, rule(base, ab, d), rule(base, a, rule(base, b, d)),
						"%s, %s, %s, from the left and from the right", a, b, d)
				}
			}
		}
	}
}

type checker[T any] struct {
	t       testing.TB
	reports map[string]int
}

func (c checker[T]) equal(property string, base, got, want T, how string, of ...T) {
	c.t.Helper()
	g, w := c.text(got), c.text(want)
	if bytes.Equal(g, w) {
		return
	}
	if c.reports[property]++; c.reports[property] > maxReports {
		return
	}
	args := make([]any, len(of))
	for i, v := range of {
		args[i] = c.text(v)
	}
	c.t.Errorf("rule is not %s with base %s: "+how+": %s and %s",
		append(append([]any{property, c.text(base)}, args...), g, w)...)
}

// text is the value as a token holds it.
func (c checker[T]) text(v T) []byte {
	c.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		c.t.Errorf("CheckRule: a value cannot be a claim: %v", err)
	}
	return text
}
