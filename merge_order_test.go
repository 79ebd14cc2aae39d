package waybill_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/waybill-go/waybill"
)

// TestMergeOrder merges the same responses in different orders. Except for claims without a rule,
// the results are the same.
func TestMergeOrder(t *testing.T) {
	auth := authority(t)
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return string(rune('a' + r.IntN(4))) }
	random := func() []waybill.Change {
		var tags []string
		for range r.IntN(3) {
			tags = append(tags, word())
		}
		slices.Sort(tags)
		all := []waybill.Change{
			Seats.To(r.IntN(4)), Seats.Delete(), Price.To(r.IntN(4)), Price.Delete(), Tags.To(slices.Compact(tags)), Tags.Delete(),
			Stamp.To(word()), Stamp.Delete(),
		}
		var some []waybill.Change
		for i := 0; i < len(all); i += 2 {
			switch r.IntN(4) {
			case 0:
				some = append(some, all[i+1])
			case 1, 2:
				some = append(some, all[i])
			}
		}
		return some
	}
	for round := range 60 {
		token := issue(t, auth, random()...).Token()
		var returned []string
		for len(returned) < 4 {
			ctx, hop := receive(t, auth, token)
			change(t, ctx, random()...)
			if u := single(hop.Commit(waybill.Succeeded)); u != "" {
				returned = append(returned, u)
			}
		}
		want := ""
		permute(returned, func(order []string) {
			ctx, _ := receive(t, auth, token)
			calls := []*waybill.Call{send(t, auth, ctx), send(t, auth, ctx), send(t, auth, ctx), send(t, auth, ctx)}
			for i, u := range order {
				must(calls[i].Merge(list(u), waybill.Succeeded))(t)
			}
			got := fmt.Sprint(values(now(t, ctx)))
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("round %d: got %s in one order, %s in another", round, got, want)
			}
		})
	}
}

// values returns the merged claims, with lists as sets.
func values(wb *waybill.Waybill) []any {
	var all []any
	seats, ok := Seats.Of(wb)
	all = append(all, seats, ok)
	price, ok := Price.Of(wb)
	all = append(all, price, ok)
	stamp, ok := Stamp.Of(wb)
	all = append(all, stamp, ok)
	tags, ok := Tags.Of(wb)
	slices.Sort(tags)
	return append(all, tags, ok)
}

func permute(list []string, visit func([]string)) {
	var walk func(int)
	walk = func(i int) {
		if i == len(list) {
			visit(list)
			return
		}
		for j := i; j < len(list); j++ {
			list[i], list[j] = list[j], list[i]
			walk(i + 1)
			list[i], list[j] = list[j], list[i]
		}
	}
	walk(0)
}
