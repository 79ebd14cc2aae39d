package main

import (
	"fmt"
	"strings"
)

// header is the start of the page.
const header = `<!-- Generated from conformance.txt by tools/conformance. Edit that file, not this one. -->

# Conformance

This page lists the cases of each transport, the result of each, and the tests that show it. The guide to the transports is
[transports.md](transports.md). Tests are named as ` + "`go test -v`" + ` prints them. The package of a table's tests is named above it; a test
in another package has its directory in front. CI fails if a test on this page does not exist, fails or is skipped.
`

// page returns the Markdown page of the cases.
func page(groups []group) string {
	var b strings.Builder
	b.WriteString(header)
	section := ""
	for _, g := range groups {
		if g.section != section {
			section = g.section
			fmt.Fprintf(&b, "\n## %s\n", section)
		}
		fmt.Fprintf(&b, "\n### %s\n\n", g.title)
		if g.note != "" {
			fmt.Fprintf(&b, "%s\n\n", g.note)
		}
		if g.dir != "" {
			fmt.Fprintf(&b, "Tests in [`%s`](%s).\n\n", g.dir, folder(g.dir))
		}
		b.WriteString("| case | result | tests |\n|---|---|---|\n")
		for _, c := range g.cases {
			names := make([]string, len(c.tests))
			for i, t := range c.tests {
				names[i] = "`" + t.String() + "`"
				if t.dir == g.dir {
					names[i] = "`" + t.name + "`"
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.when, c.result, strings.Join(names, ", "))
		}
	}
	return b.String()
}

// folder returns the link from the page to a package.
func folder(dir string) string {
	if dir == root {
		return ".."
	}
	return "../" + dir
}
