package integrationproxies

import (
	"os"
	"strings"
	"testing"
)

// TestDocs checks that docs/proxies.md shows the settings that these tests use.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		code, _, _ := strings.Cut(line, "  #")
		shown[strings.TrimSpace(code)] = true
	}
	for line := range strings.Lines(nginxSettings + nginxHeal + haproxySettings + haproxyHeal) {
		if line = strings.TrimSpace(line); !shown[line] {
			t.Errorf("docs/proxies.md does not show %q", line)
		}
	}
}
