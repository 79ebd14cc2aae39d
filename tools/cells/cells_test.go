package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// log is the output of one run over four packages: two have a test of the same name.
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
?   	github.com/waybill-go/waybill/internal/taken	[no test files]
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

// check runs the command on a page with these lines in a section of the given packages.
func check(t *testing.T, text, log string) (out string, err error) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = run([]string{page}, strings.NewReader(log), &b)
	return b.String(), err
}

func TestCells(t *testing.T) {
	for _, test := range []struct {
		name, page string
		want       []string // in the error; none: no error
	}{
		{"one that passed", "Tests in `waybill`.\n\n| x | `TestShared` |\n", nil},
		{"of another package", "Tests in `waybill`.\n| x | `TestShared`, `internal/integration/grpc.TestOnly` |\n", nil},
		{"of the root package", "| x | `waybill.TestShared` |\n", nil},
		{"a subtest", "| x | `waybill.TestTable/two_words` |\n", nil},
		{"an example", "| x | `waybill.ExampleNew` |\n", nil},
		{"in one of two packages", "Tests in `waybill` and `internal/integration/grpc`.\n| `TestOnly` | `TestTable` |\n", nil},
		{"what is no test", "Tests in `waybill`.\n| `Testimony` | `waybill-update` `grpc.Trailer` | `TestShared` |\n", nil},
		{"outside of a table", "`TestNowhere`\n```\n| `TestNowhere` |\n```\n| `waybill.TestShared` |\n", nil},

		{"none", "| x | y |\n", []string{"no table names a test"}},
		{"that does not exist", "Tests in `waybill`.\n| x | `TestNowhere` |\n", []string{"page.md:2: TestNowhere: did not run"}},
		{"that exists elsewhere", "Tests in `waybill`.\n| x | `TestOnly` |\n", []string{"TestOnly: did not run"}},
		{"a subtest that does not exist", "| `waybill.TestTable/three` |\n", []string{"TestTable/three: did not run"}},
		{"that failed", "Tests in `transport/http`.\n| x | `TestShared` |\n", []string{"TestShared of transport/http failed"}},
		{"that failed in one of two", "Tests in `waybill`, `transport/http`.\n| x | `TestShared` |\n", []string{"TestShared of transport/http failed"}},
		{"that was skipped", "| `transport/http.TestSkipped` |\n", []string{"TestSkipped of transport/http was skipped"}},
		{"with a subtest that was skipped", "| `transport/http.TestPartly` |\n", []string{"TestPartly/missing of transport/http was skipped"}},
		{"that did not end", "| `transport/http.TestHangs` |\n", []string{"TestHangs of transport/http did not end"}},
		{"of a package without tests", "| `internal/taken.TestX` |\n", []string{"no tests of internal/taken"}},
		{"without a package", "## A\nTests in `waybill`.\n## B\n| `TestShared` |\n", []string{"line 4", "of which package?"}},
		{"all that is wrong", "Tests in `transport/http`.\n| `TestShared` |\n| `TestSkipped` |\n| `waybill.TestShared` |\n",
			[]string{"2 of 3", "page.md:2", "page.md:3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := check(t, test.page, log)
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

func TestLogs(t *testing.T) {
	const page = "| `waybill.TestShared` |\n"
	const ok, bad = "--- PASS: TestShared (0.00s)\nok  \tgithub.com/waybill-go/waybill\t1s\n",
		"--- SKIP: TestShared (0.00s)\nok  \tgithub.com/waybill-go/waybill\t1s\n"
	for _, test := range []struct{ name, log, want string }{
		{"two runs", ok + ok, ""},
		{"skipped the first time", bad + ok, "was skipped"},
		{"skipped the second time", ok + bad, "was skipped"},
		{"a long line", strings.Repeat("x", 1<<20) + "\n" + ok, ""},
		{"other line ends", strings.ReplaceAll(ok, "\n", "\r\n"), ""},
		{"nothing", "", "want the output of go test -v"},
		{"not verbose", "ok  \tgithub.com/waybill-go/waybill\t1s\n", "want the output of go test -v"},
		{"cut off", ok + "=== RUN   TestShared\n", "ends in the middle"},
	} {
		_, err := check(t, page, test.log)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if err := run(nil, nil, nil); err == nil || !strings.Contains(err.Error(), "PAGE") {
		t.Errorf("without arguments: got %v, want the usage", err)
	}
}
