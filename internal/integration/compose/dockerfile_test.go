package compose

import (
	"regexp"
	"strings"
	"testing"
)

// buildKitOnly is what the builder of Docker without BuildKit refuses or takes for something else.
var buildKitOnly = map[string]*regexp.Regexp{
	"a syntax line":          regexp.MustCompile(`(?i)^#\s*syntax\s*=`),
	"RUN with a flag":        regexp.MustCompile(`(?i)^\s*RUN\s+--`),
	"COPY or ADD with flags": regexp.MustCompile(`(?i)^\s*(COPY|ADD)\s.*--(link|chmod|parents|exclude|checksum)\b`),
	"a here-document":        regexp.MustCompile(`<<-?\s*["']?[A-Za-z_]`),
	"a platform variable":    regexp.MustCompile(`\$\{?(BUILD|TARGET)(PLATFORM|OS|ARCH|VARIANT)`),
	"FROM with a platform":   regexp.MustCompile(`(?i)^\s*FROM\s+--`),
}

func onlyBuildKit(dockerfile string) (found []string) {
	for line := range strings.Lines(dockerfile) {
		for what, pattern := range buildKitOnly {
			if pattern.MatchString(line) {
				found = append(found, what+": "+strings.TrimSpace(line))
			}
		}
	}
	return found
}

func TestDockerfileIsPlain(t *testing.T) {
	for _, found := range onlyBuildKit(read(t, "Dockerfile")) {
		t.Errorf("needs BuildKit: %s", found)
	}
}

// TestOnlyBuildKit checks that the check finds something.
func TestOnlyBuildKit(t *testing.T) {
	for _, line := range []string{
		"# syntax=docker/dockerfile:1", "RUN --mount=type=cache,target=/root go build", "COPY --link a b",
		"COPY --from=build --chmod=755 a b", "RUN cat <<EOF > /etc/passwd", "FROM --platform=$BUILDPLATFORM golang AS build",
		"RUN GOARCH=$TARGETARCH go build",
	} {
		if len(onlyBuildKit(line)) == 0 {
			t.Errorf("%q is taken for plain", line)
		}
	}
	for _, line := range []string{"FROM golang AS build", "COPY --from=build --chown=1:1 /a /b", "RUN test 1 -lt 2"} {
		if found := onlyBuildKit(line); len(found) > 0 {
			t.Errorf("%q is taken for %q", line, found)
		}
	}
}

// TestImageIsBare checks what the image is made of, and who runs in it.
func TestImageIsBare(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	last := dockerfile[strings.LastIndex(dockerfile, "\nFROM "):]
	for _, want := range []string{"FROM scratch\n", "USER 65532:65532\n", `ENTRYPOINT ["/demo"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("the last stage has no %q", want)
		}
	}
	if !strings.Contains(read(t, ".dockerignore"), ".git\n") {
		t.Error(".dockerignore does not leave .git out")
	}
}
