package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// log is the output of one run over four packages, of which two have a test with the same name.
const log = `=== RUN   TestShared
--- PASS: TestShared (0.00s)
=== RUN   TestTable
=== RUN   TestTable/one
=== RUN   TestTable/two_words
--- PASS: TestTable (0.01s)
    --- PASS: TestTable/one (0.00s)
    --- PASS: TestTable/two_words (0.00s)
=== RUN   ExampleNew
--- PASS: ExampleNew (0.00s)
PASS
ok  	github.com/waybill-go/waybill	0.012s
?   	github.com/waybill-go/waybill/internal/none	[no test files]
=== RUN   TestShared
    x_test.go:7: broken
--- FAIL: TestShared (0.00s)
=== RUN   TestSkipped
    x_test.go:9: no docker here
--- SKIP: TestSkipped (0.00s)
=== RUN   TestPartly
=== RUN   TestPartly/there
=== RUN   TestPartly/missing
--- PASS: TestPartly (0.00s)
    --- PASS: TestPartly/there (0.00s)
    --- SKIP: TestPartly/missing (0.00s)
=== RUN   TestHangs
panic: test timed out
FAIL	github.com/waybill-go/waybill/transport/http	0.4s
=== RUN   TestOnly
--- PASS: TestOnly (0.00s)
PASS
ok  	github.com/waybill-go/waybill/internal/integration/grpc	(cached)
FAIL
`

// command runs the command on cases, the page generated from them, and a log.
func command(t *testing.T, cases, log string) (out string, err error) {
	t.Helper()
	path := file(t, "cases.txt", cases)
	if err := run([]string{"write", path}, nil); err != nil {
		return "", err
	}
	var b strings.Builder
	err = run([]string{"check", path, file(t, "test.log", log)}, &b)
	return b.String(), err
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, cases string
		want        []string // in the error; none: no error
	}{
		{"one that passed", "### A\nin waybill\n\nx | y | TestShared\n", nil},
		{"in another package", "### A\nin waybill\nx | y | TestShared internal/integration/grpc.TestOnly\n", nil},
		{"in the root package", "### A\nx | y | waybill.TestShared\n", nil},
		{"a subtest", "### A\nx | y | waybill.TestTable/two_words\n", nil},
		{"an example", "### A\nx | y | waybill.ExampleNew\n", nil},
		{"two at once", "### A\nin waybill\nx | y | TestTable/{one,two_words}\n", nil},
		{"on the next line", "### A\nin waybill\nx | y\n  | TestTable\n  TestShared\n", nil},
		{"a comment and a note", "// | |\n## S\n### A\n> Note | it.\nx | y | waybill.TestShared\n", nil},

		{"none", "// nothing\n", []string{"cases.txt: there are no cases"}},
		{"no group", "## S\nx | y | waybill.TestShared\n", []string{"line 2: no group"}},
		{"no test", "### A\nx | y |\n", []string{"line 2: a case needs"}},
		{"no result", "### A\nx | | waybill.TestShared\n", []string{"line 2: a case needs"}},
		{"two parts", "### A\nx | waybill.TestShared\n", []string{"line 2: want"}},
		{"four parts", "### A\nx | y | z | waybill.TestShared\n", []string{"line 2: want"}},
		{"prose", "### A\nTests of this and that\n", []string{"line 2: want"}},
		{"an open brace", "### A\nx | y | waybill.Test{A,B\n", []string{"line 2", "closing brace"}},
		{"not the name of a test", "### A\nx | y | waybill.Testimony\n", []string{`line 2: "waybill.Testimony" is not`}},
		{"without a package", "### A\nin waybill\n### B\nx | y | TestShared\n", []string{"line 4: the package of TestShared"}},
		{"that does not exist", "### A\nx | y | waybill.TestNowhere\n",
			[]string{"cases.txt:2: waybill.TestNowhere did not run: waybill has no such test", "edit", "run \"go run"}},
		{"that exists elsewhere", "### A\nx | y | waybill.TestOnly\n", []string{"waybill.TestOnly did not run"}},
		{"a subtest that does not exist", "### A\nx | y | waybill.TestTable/{one,three}\n", []string{"TestTable/three did not run"}},
		{"that failed", "### A\nin transport/http\nx | y | TestShared\n", []string{"transport/http.TestShared failed"}},
		{"that was skipped", "### A\nx | y | transport/http.TestSkipped\n", []string{"TestSkipped was skipped"}},
		{"with a subtest that was skipped", "### A\nx | y | transport/http.TestPartly\n",
			[]string{"TestPartly has the subtest TestPartly/missing, which was skipped"}},
		{"that did not finish", "### A\nx | y | transport/http.TestHangs\n", []string{"TestHangs did not finish"}},
		{"of a package without tests", "### A\nx | y | internal/none.TestX\n", []string{"no tests of internal/none"}},
		{"several faults", "### A\nin transport/http\nx | y | TestShared\nx | y | TestSkipped\nx | y | waybill.TestShared\n",
			[]string{"cases.txt:3", "cases.txt:4"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := command(t, test.cases, log)
			if len(test.want) == 0 {
				if err != nil || !strings.Contains(out, "all passed") {
					t.Errorf("got %q, %v, want no error", out, err)
				}
				return
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

func TestCounts(t *testing.T) {
	const cases = "### A\nin waybill\nx | y | TestTable/{one,two_words}\nx | z | TestTable/one\n"
	out, err := command(t, cases, log)
	if err != nil || !strings.Contains(out, "2 cases, 2 tests") {
		t.Errorf("got %q, %v, want 2 cases and 2 tests", out, err)
	}
}

func TestPage(t *testing.T) {
	groups, err := readCases("## S\n### A\n> Note it.\nin transport/http\nx | y\n  | Test{A,B}/c waybill.TestD\n### B\nx | y | waybill.TestD\n" +
		"## T\n### C\nin waybill\nx | y | TestD\n")
	if err != nil {
		t.Fatal(err)
	}
	const want = `
## S

### A

Note it.

Tests in [` + "`transport/http`" + `](../transport/http).

| case | result | tests |
|---|---|---|
| x | y | ` + "`TestA/c`, `TestB/c`, `waybill.TestD`" + ` |

### B

| case | result | tests |
|---|---|---|
| x | y | ` + "`waybill.TestD`" + ` |

## T

### C

Tests in [` + "`waybill`" + `](..).

| case | result | tests |
|---|---|---|
| x | y | ` + "`TestD`" + ` |
`
	if got, ok := strings.CutPrefix(page(groups), header); !ok || got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestPageIsOld checks that an outdated page fails the check: edited by hand, or not written after
// an edit of the cases.
func TestPageIsOld(t *testing.T) {
	path, log := file(t, "cases.txt", "### A\nx | y | waybill.TestShared\n"), file(t, "test.log", log)
	if err := run([]string{"check", path, log}, nil); err == nil || !strings.Contains(err.Error(), "cases.md") {
		t.Errorf("without a page: got %v, want an error that names it", err)
	}
	if err := run([]string{"write", path}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("### A\nx | z | waybill.TestShared\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"check", path, log}, nil); err == nil || !strings.Contains(err.Error(), "cases.md is out of date") {
		t.Errorf("after an edit: got %v, want an error that says so", err)
	}
}

func TestExpand(t *testing.T) {
	got, err := expand("a{b,c}d{,_e}")
	if want := []string{"abd", "abd_e", "acd", "acd_e"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestLogs(t *testing.T) {
	const cases = "### A\nx | y | waybill.TestShared\n"
	const ok, bad = "--- PASS: TestShared (0.00s)\nok  \tgithub.com/waybill-go/waybill\t1s\n",
		"--- SKIP: TestShared (0.00s)\nok  \tgithub.com/waybill-go/waybill\t1s\n"
	for _, test := range []struct{ name, log, want string }{
		{"two runs", ok + ok, ""},
		{"skipped the first time", bad + ok, "was skipped"},
		{"skipped the second time", ok + bad, "was skipped"},
		{"a long line", strings.Repeat("x", 1<<20) + "\n" + ok, ""},
		{"other line ends", strings.ReplaceAll(ok, "\n", "\r\n"), ""},
		{"nothing", "", "pass the output of go test -v"},
		{"not verbose", "ok  \tgithub.com/waybill-go/waybill\t1s\n", "pass the output of go test -v"},
		{"cut off", ok + "=== RUN   TestShared\n", "ends in the middle"},
	} {
		_, err := command(t, cases, test.log)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	for _, args := range [][]string{nil, {"write"}, {"check", "a"}, {"read", "a"}} {
		if err := run(args, nil); err == nil || !strings.Contains(err.Error(), "write CASES") {
			t.Errorf("%q: got %v, want the usage", args, err)
		}
	}
}
