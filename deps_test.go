package waybill_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/waybill-go/waybill"

// goList runs go list in this module, without the workspace, which would hide the module's
// requirements.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("go list %s: %s", strings.Join(args, " "), exit.Stderr)
		}
		t.Fatalf("go list: %v (the go command is needed to read the dependencies)", err)
	}
	return strings.Fields(string(out))
}

// imports returns the packages that a package is built from, except the standard library and the
// package itself.
func imports(t *testing.T, path string) []string {
	t.Helper()
	all := goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", path)
	return slices.DeleteFunc(all, func(p string) bool { return p == path })
}

// TestDependencies checks which packages each package is built from. A prefix ends with a slash.
func TestDependencies(t *testing.T) {
	const otel = "go.opentelemetry.io/otel/"
	core := []string{module, module + "/keyring", module + "/internal/jose", module + "/internal/keyfault", module + "/internal/replace",
		module + "/internal/secretfile"}
	// The packages that OpenTelemetry's API consists of.
	api := []string{strings.TrimSuffix(otel, "/"), otel + "attribute/", otel + "baggage", otel + "codes", otel + "internal/", otel + "metric/",
		otel + "propagation", otel + "semconv/", otel + "trace/", "github.com/go-logr/", "github.com/cespare/xxhash/", "go.opentelemetry.io/auto/"}
	carriers := slices.Concat(core, api, []string{module + "/internal/carrier/"})
	hosts := []string{"golang.org/x/net/idna", "golang.org/x/text/"}
	grpc := []string{"google.golang.org/", "golang.org/x/net/", "golang.org/x/sys/", "golang.org/x/text/"}
	nats := []string{"github.com/nats-io/", "github.com/klauspost/compress/", "golang.org/x/crypto/", "golang.org/x/sys/", "golang.org/x/text/"}
	keys := core[1:6] // the ring and what it is built from
	age := []string{"filippo.io/age/", "filippo.io/hpke/", "golang.org/x/crypto/", "golang.org/x/sys/"}
	for _, test := range []struct {
		path string
		may  []string
	}{
		{module + "/internal/jose", nil},
		{module + "/keyring", core[2:6]},
		{module + "/keyring/agering", slices.Concat(keys, age)},
		{module + "/keyring/natskv", slices.Concat(keys, nats)},
		{module + "/keyring/jwks", keys},
		{module + "/keyring/otelkeys", slices.Concat(keys, api)},
		{module, core[1:]},
		{module + "/internal/carrier/admission", slices.Concat(core, api, []string{module + "/internal/carrier/telemetry"})},
		{module + "/waybilltest", core},
		{module + "/internal/carrier/telemetry", slices.Concat(core, api)},
		{module + "/propagation", carriers},
		{module + "/transport/http", slices.Concat(carriers, hosts)},
		{module + "/transport/grpc", slices.Concat(carriers, grpc)},
		{module + "/transport/nats", slices.Concat(carriers, nats, []string{module + "/transport/nats/internal/"})},
		{module + "/transport/nats/jetstream", slices.Concat(carriers, nats, []string{module + "/transport/nats/"})},
	} {
		for _, p := range imports(t, test.path) {
			allowed := slices.ContainsFunc(test.may, func(m string) bool {
				return p == strings.TrimSuffix(m, "/") || strings.HasSuffix(m, "/") && strings.HasPrefix(p, m)
			})
			if !allowed {
				t.Errorf("%s is built from %s", strings.TrimPrefix(test.path, module+"/"), strings.TrimPrefix(p, module+"/"))
			}
		}
	}
}

// TestAuthorityOnly checks that a transport reaches keys and bytes only through the Authority: it
// imports neither the key ring nor the internals of the core.
func TestAuthorityOnly(t *testing.T) {
	for _, path := range []string{
		"/propagation", "/internal/carrier/admission", "/internal/carrier/telemetry",
		"/transport/http", "/transport/grpc", "/transport/nats", "/transport/nats/jetstream",
	} {
		direct := goList(t, "-f", `{{join .Imports "\n"}}`, module+path)
		if !slices.Contains(direct, module) {
			t.Errorf("%s does not import the core: this test looks at the wrong package", path)
		}
		for _, p := range direct {
			if strings.HasPrefix(p, module+"/keyring") || strings.HasPrefix(p, module+"/internal/") && !strings.HasPrefix(p, module+"/internal/carrier/") {
				t.Errorf("%s imports %s", path, strings.TrimPrefix(p, module))
			}
		}
	}
}

// TestRequirements checks that this module requires no server, SDK or other token library, and that
// its commands can be installed, which a replace directive would prevent.
func TestRequirements(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{
		"replace ", "exclude ", "github.com/nats-io/nats-server", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters",
		"go.opentelemetry.io/contrib", "github.com/go-jose/", "github.com/golang-jwt/", "github.com/lestrrat-go/", "github.com/stretchr/",
	} {
		if strings.Contains(string(text), unwanted) {
			t.Errorf("go.mod has %q", unwanted)
		}
	}
	if !strings.Contains(string(text), "go.opentelemetry.io/otel ") {
		t.Error("go.mod does not require OpenTelemetry: this test reads the wrong file")
	}
}
