package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// group is one table of cases: one aspect of one transport.
type group struct {
	section string // the transport
	title   string
	note    string
	dir     string // the package of its tests
	cases   []example
}

// example is a case, its result, and the tests that show it.
type example struct {
	line         int
	when, result string
	tests        []test
}

// test is a test function or a subtest.
type test struct {
	dir, name string
}

// String returns the test's name with the package's directory in front.
func (t test) String() string { return t.dir + "." + t.name }

// testName matches the name of a test, with or without its directory in front.
var testName = regexp.MustCompile(`^(?:([\w./-]+)\.)?((?:(?:Test|Fuzz)[A-Z_]|Example)\w*(?:/\S*)?)$`)

// readCases parses the file of cases. The first lines of docs/conformance.txt describe the format.
func readCases(text string) ([]group, error) {
	var groups []group
	var section string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, strings.TrimSpace(lines[i])
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ") {
			i++
			line += " " + strings.TrimSpace(lines[i])
		}
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
			continue
		}
		if title, ok := strings.CutPrefix(line, "### "); ok {
			groups = append(groups, group{section: section, title: title})
			continue
		}
		if len(groups) == 0 {
			return nil, fmt.Errorf("line %d: no group has begun; put a line \"### TITLE\" before it", at)
		}
		if err := groups[len(groups)-1].add(line, at); err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
	}
	if len(groups) == 0 {
		return nil, errors.New("there are no cases")
	}
	return groups, nil
}

// add reads a line below the group's heading.
func (g *group) add(line string, at int) error {
	if note, ok := strings.CutPrefix(line, "> "); ok {
		g.note = note
		return nil
	}
	if dir, ok := strings.CutPrefix(line, "in "); ok && !strings.Contains(dir, " ") {
		g.dir = dir
		return nil
	}
	parts := strings.Split(line, "|")
	if len(parts) != 3 {
		return fmt.Errorf("want \"case | result | tests\", got %q", line)
	}
	e := example{line: at, when: strings.TrimSpace(parts[0]), result: strings.TrimSpace(parts[1])}
	for _, word := range strings.Fields(parts[2]) {
		names, err := expand(word)
		if err != nil {
			return err
		}
		for _, name := range names {
			m := testName.FindStringSubmatch(name)
			if m == nil {
				return fmt.Errorf("%q is not the name of a test", name)
			}
			t := test{m[1], m[2]}
			if t.dir == "" {
				t.dir = g.dir
			}
			if t.dir == "" {
				return fmt.Errorf("the package of %s is unknown; put a line such as \"in transport/http\" above", name)
			}
			e.tests = append(e.tests, t)
		}
	}
	if e.when == "" || e.result == "" || len(e.tests) == 0 {
		return fmt.Errorf("a case needs a result and a test: %q", line)
	}
	g.cases = append(g.cases, e)
	return nil
}

// expand returns the names that a word with {a,b} in it abbreviates.
func expand(word string) ([]string, error) {
	before, rest, ok := strings.Cut(word, "{")
	if !ok {
		return []string{word}, nil
	}
	choices, after, ok := strings.Cut(rest, "}")
	if !ok {
		return nil, fmt.Errorf("%q lacks a closing brace", word)
	}
	ends, err := expand(after)
	if err != nil {
		return nil, err
	}
	var all []string
	for choice := range strings.SplitSeq(choices, ",") {
		for _, end := range ends {
			all = append(all, before+choice+end)
		}
	}
	return all, nil
}
