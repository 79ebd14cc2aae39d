package waybilltest

import (
	"bytes"
	"encoding/json"
	"testing"
)

// maxReports is how many failures of each property of a rule are reported.
const maxReports = 3

// CheckRule checks that a merge rule is commutative, associative and idempotent in mine and theirs.
// It tries every combination of the values as base, mine and theirs, and also the zero value as
// base, which means that there was none.
//
// The work grows with the fourth power of the number of values, so pass a handful, including equal,
// ordered and disjoint values. Values are compared by their JSON, so pass them in the form that the
// rule returns: for waybill.Union, sorted lists.
//
//	waybilltest.CheckRule(t, waybill.Max, 1, 2, 3)
func CheckRule[T any](t testing.TB, rule func(base, mine, theirs T) T, values ...T) {
	t.Helper()
	if len(values) < 2 {
		t.Errorf("CheckRule: %d values cannot show a difference: pass at least two", len(values))
		return
	}
	var zero T
	c := checker[T]{t: t, reports: map[string]int{}}
	for _, base := range append([]T{zero}, values...) {
		for _, a := range values {
			c.equal("idempotent", base, rule(base, a, a), a, "rule(base, %s, itself)", a)
			for _, b := range values {
				ab := rule(base, a, b)
				c.equal("commutative", base, ab, rule(base, b, a), "rule(base, %s, %s), and with the two swapped", a, b)
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

// text returns the value's JSON, as a token contains it.
func (c checker[T]) text(v T) []byte {
	c.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		c.t.Errorf("CheckRule: a value cannot be a claim: %v", err)
	}
	return text
}
