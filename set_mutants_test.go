package waybill_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modelMutant is a wrong rule of the merge, or of the choice of a journey: replacements of the
// source text.
type modelMutant struct {
	name  string
	edits []sourceEdit
}

// sourceEdit replaces the only occurrence of a text in a file.
type sourceEdit struct{ file, old, new string }

// mutants are rules that were tried and disproved, and rules that are easy to forget. The models
// must find each of them.
var mutants = []modelMutant{
	{"renewals and merges count in rev", []sourceEdit{{"visit_answer.go",
		"\th.keep(recentRevs)\n\treturn h\n",
		"\tif !v.changes(cur) && h.rev > 0 {\n\t\th.rev++\n\t}\n\th.keep(recentRevs)\n\treturn h\n"}}},
	{"last-writer claims are merged by was, and main stands", []sourceEdit{
		{"visit_answer.go", "def := a.declared[name]; def != nil && def.merge != nil", "def := a.declared[name]; def == nil || def != nil"},
		{"set.go", "\t\tif greater(mine, theirs) {\n\t\t\treturn mine, nil\n\t\t}\n\t\treturn theirs, nil\n", "\t\treturn mine, nil\n"}}},
	{"the merged rev is the greatest", []sourceEdit{{"set.go", "\ts.rev++\n", "\ts.rev = max(s.rev, own)\n"}}},
	{"own steps do not count in the merged rev", []sourceEdit{{"set.go", "\ts.rev++\n", ""}}},
	{"has puts no token out", []sourceEdit{{"set.go", "included[string(name)] = struct{}{}", "_ = name"}}},
	{"has names only the tokens that count", []sourceEdit{{"visit.go",
		"return v.merge(newest(usable), len(v.came) > 1)",
		"came := len(v.came)\n\tv.came = newest(usable)\n\treturn v.merge(v.came, came > 1)"}}},
	{"an answer is due only if several tokens count", []sourceEdit{{"visit.go",
		"v.merge(newest(usable), len(v.came) > 1)", "v.merge(newest(usable), false)"}}},
	{"a renewal that keeps an entry of upd counts as a step", []sourceEdit{{"held.go",
		"func (w *Waybill) stepped() bool { return !w.vacant() && w.unique() }",
		"func (w *Waybill) stepped() bool {\n\tfor _, e := range writtenBy(w) {\n\t\tif e.rev == w.body().claims.Rev {\n\t\t\treturn true\n\t\t}\n\t}\n" +
			"\treturn !w.vacant() && w.unique()\n}"}}},
	{"the token with the greatest rev is main", []sourceEdit{{"held.go",
		"d := other.wb.snapshot() - h.wb.snapshot(); d != 0", "d := int64(0); d != 0"}}},
	{"the token with the least snapshot is main", []sourceEdit{{"held.go",
		"d := other.wb.snapshot() - h.wb.snapshot(); d != 0", "d := h.wb.snapshot() - other.wb.snapshot(); d != 0"}}},
	{"was and upd compare with main", []sourceEdit{{"visit.go",
		"v.base, v.rev, v.upd, v.due = w, s.rev, s.upd, true", "v.base, v.rev, v.upd, v.due = main.wb, s.rev, s.upd, true"}}},
	{"upd has no deletes", []sourceEdit{{"visit_answer.go",
		"\th.upd = append(h.upd, written{name, h.rev})\n",
		"\tif cur.raw(name) != nil {\n\t\th.upd = append(h.upd, written{name, h.rev})\n\t}\n"}}},
	{"upd does not tell the merged write", []sourceEdit{{"set.go", "\t\tlast.rev = entry.rev\n", "\t\t_ = last.rev\n"}}},
	{"the last writer is whichever is merged last", []sourceEdit{{"set.go",
		"entry.rev > last.rev || entry.rev == last.rev && greater(theirs, s.value(entry.name))", "entry.rev > 0"}}},
	{"the base of a rule is absent", []sourceEdit{{"set.go", "\treturn array[1 : len(array)-1]\n", "\treturn nil\n"}}},
	{"the base of a rule is what was merged so far", []sourceEdit{{"set.go",
		"s.claim(string(name), element(value), w.raw(string(name)))", "s.claim(string(name), s.value(string(name)), w.raw(string(name)))"}}},
	{"a failed request brings changes of OnSuccess claims", []sourceEdit{{"visit_answer.go",
		"cur != nil && r == Failed", "cur == nil && r == Failed"}}},
	{"an empty journey has the name of a renewal", []sourceEdit{{"held.go",
		"return w.raw(jose.Was) != nil || w.raw(jose.Has) == nil", "return !w.vacant() && w.raw(jose.Was) != nil || w.raw(jose.Has) == nil"}}},
	{"answers bring tokens however late", []sourceEdit{{"visit_answer.go",
		"return v.auth.now().After(v.at.Add(v.auth.life))", "return v.auth.now().After(v.at.Add(100 * v.auth.life))"}}},

	{"Begin and End have one rank, and the younger sid decides", []sourceEdit{{"journey.go",
		"v.empty(v.next*kinds + kind)", "v.empty(v.next*kinds + begunByBegin)"}}},
	{"Begin beats End", []sourceEdit{{"journey.go", "v.empty(v.next*kinds + kind)", "v.empty(v.next*kinds + kinds - kind)"}}},
	{"the rank does not grow", []sourceEdit{{"rank.go", "v.next = top/kinds + 1", "v.next = max(1, top/kinds)"}}},
	{"the older login stays", []sourceEdit{{"rank.go",
		"than.body().claims.Began; d != 0 {\n\t\treturn d > 0", "than.body().claims.Began; d != 0 {\n\t\treturn d < 0"}}},
	{"start after End has a new sid", []sourceEdit{{"journey.go", "\tif empty == nil {\n\t\tvar err error", "\tif empty == nil || true {\n\t\tvar err error"}}},
	{"journeys with a rank are not merged", []sourceEdit{{"rank.go", "w.rank()%kinds == begunByBegin ||", "w.rank() > 0 ||"}}},
	{"journeys of logins are merged", []sourceEdit{{"rank.go", "w.rank()%kinds == begunByBegin ||", "false ||"}}},
	{"only first tokens are merged over sids", []sourceEdit{{"rank.go",
		"w.rank()%kinds == begunByBegin ||", "w.rank()%kinds == begunByBegin || w.body().claims.Rev > 1 || leader.body().claims.Rev > 1 ||"}}},
	{"tokens of one sid are always merged", []sourceEdit{{"rank.go",
		"\tif w.Protection() != leader.Protection() {\n\t\treturn false\n",
		"\tif w.ID() == leader.ID() {\n\t\treturn true\n\t}\n\tif w.Protection() != leader.Protection() {\n\t\treturn false\n"}}},
	{"journeys of several users are merged", []sourceEdit{{"rank.go",
		"\t\tif !same(w.raw(name), leader.raw(name)) {\n\t\t\treturn false", "\t\tif !same(w.raw(name), leader.raw(name)) {\n\t\t\tcontinue"}}},
	{"journeys of several subjects are merged", []sourceEdit{{"rank.go",
		"mine != nil && theirs != nil && !same(mine, theirs)", "mine != nil && theirs == nil"}}},
	{"Idle is judged of each token", []sourceEdit{{"visit.go",
		"errors.Is(h.err, ErrExpired) && resumes:",
		"errors.Is(h.err, ErrExpired) && (resumes || !resumes) && now < c.Exp+int64((v.auth.leeway+v.idle)/time.Second):"}}},
	{"the last tokens count, whatever their rank", []sourceEdit{{"visit_open.go",
		"d := b.wb.rank() - a.wb.rank(); d != 0", "d := int64(0); d != 0"}}},
	{"the rank of an expired token does not count", []sourceEdit{{"rank.go",
		"\t\ttop = max(top, h.wb.rank())\n", "\t\tif h.err == nil {\n\t\t\ttop = max(top, h.wb.rank())\n\t\t}\n"}}},
	{"tokens of a lower rank are merged", []sourceEdit{{"rank.go",
		"\t\tcase h.wb.rank() < top:\n\t\t\tv.drop(errSuperseded)\n", "\t\tcase h.wb.rank() < top-kinds:\n\t\t\tv.drop(errSuperseded)\n"}}},
	{"a lazy edge leaves no empty token", []sourceEdit{{"visit.go", "v.why, v.due = why, true", "v.why, v.due = why, false"}}},
	{"the sid of a journey that a fast clock began is not corrected", []sourceEdit{{"visit.go",
		"first.Began().After(now.Add(s.auth.leeway))", "first.Began().After(now.Add(100 * s.auth.life))"}}},
}

// TestMutantsOfTheMerge checks that the models fail for each mutant. It needs the go command, and
// minutes: run it with make mutants.
func TestMutantsOfTheMerge(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			overlay := m.write(t) // which fails if the source has changed
			if !*modelLong {
				return
			}
			cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-short", "-failfast", "-overlay", overlay,
				"-run", "^(TestSetModel|TestRankModel|TestRankModelOfAllOrders)$", ".", "-args", "-model.first", "-model.schedules=4000")
			out, err := cmd.CombinedOutput()
			switch text := string(out); {
			case err == nil:
				t.Error("the mutant survives")
			case !strings.Contains(text, "--- FAIL: Test"):
				t.Errorf("no model fails, but: %v\n%s", err, text)
			default:
				t.Log(killer(text))
			}
		})
	}
}

// killer returns the lines of an output that say which model failed.
func killer(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "--- FAIL") || strings.Contains(line, "fewest requests") || strings.Contains(line, "first visit ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// write writes the mutated files, and returns the file for the option -overlay.
func (m modelMutant) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range m.edits {
		path := must(filepath.Abs(e.file))(t)
		source := string(must(os.ReadFile(path))(t))
		if n := strings.Count(source, e.old); n != 1 {
			t.Fatalf("%s contains this text %d times, not once: adapt the mutant\n%s", e.file, n, e.old)
		}
		replace[path] = filepath.Join(dir, e.file)
		if err := os.WriteFile(replace[path], []byte(strings.Replace(source, e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	data := must(json.Marshal(map[string]any{"Replace": replace}))(t)
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
