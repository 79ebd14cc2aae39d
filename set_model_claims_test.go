package waybill_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/waybill-go/waybill"
)

// The claims of the model: one for each way in which concurrent changes merge.
var (
	modelCell  = waybill.NewClaim[string]("cell")                     // last writer
	modelLang  = waybill.NewClaim[string]("lang")                     // last writer
	modelPaid  = waybill.NewClaim[string]("paid").OnSuccess()         // last writer, of requests that succeed
	modelHigh  = waybill.NewClaim[int]("high").Merge(waybill.Max)     // greatest
	modelTags  = waybill.NewClaim[[]int]("tags").Merge(waybill.Union) // set with removal
	modelCount = waybill.NewClaim[int64]("count").Merge(sum)          // exact counter
	modelTheme = waybill.NewClaim[string]("theme")                    // not declared to the edge
	modelUser  = waybill.NewClaim[string]("user").Fixed()             // who logged in
	modelEdges = waybill.Claims(modelCell, modelLang, modelPaid, modelHigh, modelTags, modelCount, modelUser)
)

// sum counts each change once. It is not idempotent: if the merge took a change twice, or not at
// all, the counter would show it.
func sum(base, mine, theirs int64) int64 { return mine + theirs - base }

// modelSet is a set of change numbers.
type modelSet [4]uint64

const modelChanges = 4 * 64 // of one schedule

func (s *modelSet) add(id int)      { s[id/64] |= 1 << (id % 64) }
func (s *modelSet) has(id int) bool { return s[id/64]&(1<<(id%64)) != 0 }
func (s *modelSet) join(other modelSet) {
	for i := range s {
		s[i] |= other[i]
	}
}

func (s *modelSet) covers(other modelSet) bool {
	for i := range s {
		if other[i]&^s[i] != 0 {
			return false
		}
	}
	return true
}

func (s modelSet) list() (ids []int) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			ids = append(ids, i*64+bits.TrailingZeros64(word))
		}
	}
	return ids
}

func (s modelSet) String() string { return fmt.Sprint(s.list()) }

// modelOp is what a change did to one claim.
type modelOp struct {
	claim       string
	value       string // the raw value of a last-writer claim, or "" if the change removed it
	n           int64  // what it added to the counter, or its value of the greatest
	added, gone []int  // elements of the set
}

// modelChange is what one request did to its journey.
type modelChange struct {
	id   int
	seen modelSet // the changes that its request started from
	ops  []modelOp
}

// modelView is what a token contains, or what a handler sees: its claims by name.
type modelView map[string]json.RawMessage

func viewOf(wb *waybill.Waybill) modelView {
	var v modelView
	if err := json.Unmarshal(wb.Payload(), &v); err != nil {
		panic(err)
	}
	return v
}

func (v modelView) number(name string) int64 {
	n, _ := strconv.ParseInt(string(v[name]), 10, 64)
	return n
}

func (v modelView) text(name string) string {
	var s string
	json.Unmarshal(v[name], &s)
	return s
}

func (v modelView) ints(name string) (list []int) {
	json.Unmarshal(v[name], &list)
	slices.Sort(list)
	return list
}

// drawOps returns the changes of one request, and what they do. No two requests make the same
// change: if they carried the same tokens and came in the same second, they would get the same
// token, and count as one change.
func drawOps(r *rand.Rand, id int, v modelView) (ops []modelOp, changes []waybill.Change) {
	names := []string{"cell", "lang", "paid", "high", "tags", "count"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:1+min(r.IntN(3), r.IntN(3))] {
		op, change := drawOp(r, id, name, v)
		ops, changes = append(ops, op), append(changes, change)
	}
	unique := func(op modelOp) bool { return op.n > 0 || op.added != nil || op.value != "" && op.claim != "paid" }
	if !slices.ContainsFunc(ops, unique) {
		op, change := drawOp(r, id, "count", v)
		ops, changes = append(ops, op), append(changes, change)
	}
	return ops, changes
}

func drawOp(r *rand.Rand, id int, name string, v modelView) (modelOp, waybill.Change) {
	op := modelOp{claim: name}
	switch name {
	case "high":
		op.n = v.number(name) + 1 + r.Int64N(1<<40)
		return op, modelHigh.To(int(op.n))
	case "count":
		op.n = 1 + r.Int64N(1<<40)
		return op, modelCount.With(func(n int64) int64 { return n + op.n })
	case "tags":
		list := v.ints(name)
		if len(list) > 0 && r.IntN(3) == 0 {
			op.gone = []int{list[r.IntN(len(list))]}
		} else {
			op.added = []int{id}
		}
		return op, modelTags.To(waybill.Union(op.gone, append(list, op.added...), nil))
	}
	claim := map[string]waybill.Claim[string]{"cell": modelCell, "lang": modelLang, "paid": modelPaid, "theme": modelTheme}[name]
	if v[name] != nil && r.IntN(4) == 0 {
		return op, claim.Delete()
	}
	// The first letter is random, so that neither the older nor the younger value is the greater
	// one.
	value := fmt.Sprintf("%c%d", 'a'+rune(r.IntN(26)), id)
	op.value = strconv.Quote(value)
	return op, claim.To(value)
}

// checkView compares the claims of a view with what the included changes give.
func checkView(v modelView, all []modelChange, included modelSet) error {
	type claimed struct {
		high, count int64
		tags, gone  []int
	}
	var want claimed
	writes := map[string][]int{}
	for _, id := range included.list() {
		for _, op := range all[id].ops {
			switch op.claim {
			case "high":
				want.high = max(want.high, op.n)
			case "count":
				want.count += op.n
			case "tags":
				want.tags, want.gone = append(want.tags, op.added...), append(want.gone, op.gone...)
			default:
				writes[op.claim] = append(writes[op.claim], id)
			}
		}
	}
	want.tags = slices.DeleteFunc(want.tags, func(e int) bool { return slices.Contains(want.gone, e) })
	slices.Sort(want.tags)
	switch {
	case v.number("high") != want.high:
		return fmt.Errorf("high is %s, want %d", v["high"], want.high)
	case v.number("count") != want.count:
		return fmt.Errorf("count is %s, want %d", v["count"], want.count)
	case !slices.Equal(v.ints("tags"), want.tags):
		return fmt.Errorf("tags are %s, want %v", v["tags"], want.tags)
	}
	for _, name := range []string{"cell", "lang", "paid", "theme"} {
		if err := checkLast(v, name, all, writes[name], included); err != nil {
			return err
		}
	}
	return nil
}

// checkLast checks that a claim without a rule has the value of the write with the greatest rev,
// and of several the greatest value. A token remembers the revs of its last 32 changes; of more
// changes, it has the value of a write that no included write replaced.
func checkLast(v modelView, name string, all []modelChange, writes []int, included modelSet) error {
	value := func(id int) string {
		i := slices.IndexFunc(all[id].ops, func(op modelOp) bool { return op.claim == name })
		return all[id].ops[i].value
	}
	rev := func(id int) int { return len(all[id].seen.list()) }
	want := []string{""}
	if len(writes) > 0 {
		last := slices.MaxFunc(writes, func(a, b int) int {
			return cmp.Or(cmp.Compare(rev(a), rev(b)), cmp.Compare(value(a), value(b)))
		})
		want[0] = value(last)
	}
	if len(included.list()) > 32 {
		for _, id := range writes {
			if !slices.ContainsFunc(writes, func(by int) bool { return all[by].seen.has(id) }) {
				want = append(want, value(id))
			}
		}
	}
	if !slices.Contains(want, string(v[name])) {
		return fmt.Errorf("%s is %q, want one of %q", name, v[name], want)
	}
	return nil
}
