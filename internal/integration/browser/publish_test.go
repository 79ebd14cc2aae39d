package browser

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of lost updates to docs/edge.md")

// The table's place in the document.
const (
	document = "../../../docs/edge.md"
	begins   = "<!-- lost updates: written by internal/integration/browser with -update -->\n"
	ends     = "<!-- end of lost updates -->\n"
)

// publish prints the table, and writes it to the document if the flag says so.
func publish(t *testing.T, results map[string]map[string]result) {
	t.Helper()
	for _, c := range contenders {
		if len(results[c.name]) < len(protocols) {
			return // only some have run
		}
	}
	var b strings.Builder
	b.WriteString("| client | HTTP/1.1: lost | HTTP/2: lost | most tokens in one request |\n|---|---|---|---|\n")
	for _, c := range contenders {
		one, two := results[c.name]["HTTP/1.1"], results[c.name]["HTTP/2"]
		most := load{max(one.most.tokens, two.most.tokens), max(one.most.bytes, two.most.bytes)}
		tokens := fmt.Sprintf("%d (%d bytes)", most.tokens, most.bytes)
		if c.loses {
			tokens = "–"
		}
		fmt.Fprintf(&b, "| %s | %d of %d | %d of %d | %s |\n",
			c.name, one.lost, one.acknowledged, two.lost, two.acknowledged, tokens)
	}
	t.Logf("changes lost of those acknowledged:\n%s", &b)
	if !*update {
		return
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begins)
	_, tail, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table: add the lines\n%s%s", document, begins, ends)
	}
	if err := os.WriteFile(document, []byte(head+begins+b.String()+ends+tail), 0o666); err != nil {
		t.Fatal(err)
	}
}
