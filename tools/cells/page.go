package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// name is a test that a cell names.
type name struct {
	line     int
	text     string   // as the page has it
	packages []string // where it may be
	test     string
}

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	// A directory, if the test is not in the section's, and the test.
	testName = regexp.MustCompile(`^(?:([\w./-]+)\.)?((?:Test|Fuzz|Example)[A-Z_]\w*(?:/\S+)?)$`)
)

// readPage returns the tests that the tables of a page name.
func readPage(text string) ([]name, error) {
	var named []name
	var section []string // packages
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "## "):
			section = nil
		case strings.HasPrefix(line, "Tests in `"):
			section = nil
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				section = append(section, m[1])
			}
		case strings.HasPrefix(line, "|"):
			row, err := readRow(line, section)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			for _, n := range row {
				n.line = i + 1
				named = append(named, n)
			}
		}
	}
	if len(named) == 0 {
		return nil, errors.New("no table names a test")
	}
	return named, nil
}

func readRow(line string, section []string) ([]name, error) {
	var row []name
	for _, q := range quoted.FindAllStringSubmatch(line, -1) {
		m := testName.FindStringSubmatch(q[1])
		switch {
		case m == nil:
			continue
		case m[1] != "":
			row = append(row, name{text: q[1], packages: []string{m[1]}, test: m[2]})
		case len(section) == 0:
			return nil, fmt.Errorf("%s: of which package? Put a line such as \"Tests in `transport/http`\" before the table", q[1])
		default:
			row = append(row, name{text: q[1], packages: section, test: m[2]})
		}
	}
	return row, nil
}

// judge returns what is wrong with a test, or "". In a section of several packages one must have it, and all that do
// must have passed it.
func (n name) judge(results results) string {
	ran := false
	for _, p := range n.packages {
		tests, ok := results[p]
		if !ok {
			return "the log has no tests of " + p
		}
		for test, what := range tests {
			if test == n.test {
				ran = true
			} else if !strings.HasPrefix(test, n.test+"/") {
				continue
			}
			if what != passed {
				return fmt.Sprintf("%s of %s %s", test, p, what)
			}
		}
	}
	if !ran {
		return fmt.Sprintf("did not run: %s has no such test", strings.Join(slices.Sorted(slices.Values(n.packages)), " or "))
	}
	return ""
}
