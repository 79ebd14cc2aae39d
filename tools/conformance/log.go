package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// module is the path in front of a package's directory, also in the nested modules.
const module = "github.com/waybill-go/waybill"

// root is the name of the package in the module's own directory.
const root = "waybill"

// outcome is how a test ended, as printed in a failure.
type outcome string

const (
	passed  outcome = ""
	skipped outcome = "was skipped"
	started outcome = "did not finish"
	failed  outcome = "failed"
)

// worse orders outcomes, for a test that ran several times.
var worse = map[outcome]int{passed: 0, skipped: 1, started: 2, failed: 3}

// results are the outcomes by directory and test. Subtests have their own names.
type results map[string]map[string]outcome

var (
	runLine = regexp.MustCompile(`^=== RUN\s+(\S+)$`)
	endLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
	// packageLine ends the output of a package. The outputs of two packages are never mixed.
	packageLine = regexp.MustCompile(`^(?:ok  |FAIL)\t(\S+)(?:\t|$)`)
)

// readLog reads the output of go test -v.
func readLog(in io.Reader) (results, error) {
	all := results{}
	tests := map[string]outcome{} // of the current package
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if m := runLine.FindStringSubmatch(line); m != nil {
			tests[m[1]] = started
		} else if m := endLine.FindStringSubmatch(line); m != nil {
			tests[m[2]] = map[string]outcome{"PASS": passed, "FAIL": failed, "SKIP": skipped}[m[1]]
		} else if m := packageLine.FindStringSubmatch(line); m != nil {
			all.add(directory(m[1]), tests)
			tests = map[string]outcome{}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
	}
	if len(tests) > 0 {
		return nil, errors.New("the log ends in the middle of a package")
	}
	if len(all) == 0 {
		return nil, errors.New("the log contains no test: pass the output of go test -v")
	}
	return all, nil
}

// add records the tests of a package. If a test ran several times, its worst outcome counts.
func (r results) add(dir string, tests map[string]outcome) {
	if len(tests) == 0 {
		return
	}
	if r[dir] == nil {
		r[dir] = map[string]outcome{}
	}
	for test, what := range tests {
		if old, ok := r[dir][test]; !ok || worse[what] > worse[old] {
			r[dir][test] = what
		}
	}
}

// judge returns what is wrong with a test, or "". The test and all of its subtests must have
// passed.
func (r results) judge(t test) string {
	tests, ok := r[t.dir]
	if !ok {
		return "did not run: the log has no tests of " + t.dir
	}
	if _, ok := tests[t.name]; !ok {
		return "did not run: " + t.dir + " has no such test"
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		what := tests[name]
		if what == passed || name != t.name && !strings.HasPrefix(name, t.name+"/") {
			continue
		}
		if name == t.name {
			return string(what)
		}
		return fmt.Sprintf("has the subtest %s, which %s", name, what)
	}
	return ""
}

func directory(pkg string) string {
	if pkg == module {
		return root
	}
	return strings.TrimPrefix(pkg, module+"/")
}
