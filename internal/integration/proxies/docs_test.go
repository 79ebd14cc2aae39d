package integrationproxies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs checks that the documents show the settings that these tests use.
func TestDocs(t *testing.T) {
	files, err := filepath.Glob("../../../docs/edge*.md")
	if err != nil || files == nil {
		t.Fatalf("docs/edge.md: %v", err)
	}
	var text strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(text.String()) {
		code, _, _ := strings.Cut(line, "  #")
		shown[strings.TrimSpace(code)] = true
	}
	for line := range strings.Lines(nginxSettings + nginxHeal + haproxySettings + haproxyHeal) {
		if line = strings.TrimSpace(line); !shown[line] {
			t.Errorf("the documents do not show %q", line)
		}
	}
}
