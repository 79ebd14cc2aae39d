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
	begins   = "<!-- lost updates -->\n"
	ends     = "<!-- end of lost updates -->\n"
)

// explained is the text above the table.
const explained = `
Chromium sends 150 ` + "`POST`" + `s at once over TLS, 50 from each of three tabs, to two replicas behind a round robin. Each sets its own
claim, and its handler takes 0 to 40 ms. Then each tab reads its journey. The table shows how many of the changes that were
answered are missing. ` + "`go test ./browser -run TestLostUpdates -v -update`" + ` in ` + "`internal/integration`" + ` measures it.

`

// publish prints the table, and writes it to the document if the flag says so.
func publish(t *testing.T, results map[string]map[string]result) {
	t.Helper()
	for _, c := range contenders {
		if len(results[c.name]) < len(protocols) {
			return // only some have run
		}
	}
	table := table(results)
	t.Logf("changes lost of those acknowledged:\n%s", table)
	if !*update {
		return
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, ok := strings.Cut(string(text), begins)
	if !ok {
		t.Fatalf("%s has no place for the table: add the line %s", document, begins)
	}
	if _, after, old := strings.Cut(tail, ends); old {
		tail = after
	}
	if err := os.WriteFile(document, []byte(head+begins+explained+table+"\n"+ends+tail), 0o666); err != nil {
		t.Fatal(err)
	}
}

// table returns the results in Markdown.
func table(results map[string]map[string]result) string {
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
	return b.String()
}
