// Package autoproptest starts processes whose propagator the environment chooses.
package autoproptest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillautoprop "github.com/waybill-go/waybill/propagation/autoprop"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

const serviceEnv = "WAYBILL_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(serviceEnv) != "" {
		service()
		return
	}
	os.Exit(m.Run())
}

var cell = waybill.NewClaim[string]("cell")

// service sets up OpenTelemetry from its environment, and prints what its handlers read of one token.
func service() {
	otel.SetTextMapPropagator(autoprop.NewTextMapPropagator())
	fmt.Println("installed:", waybillautoprop.Installed())
	auth := authority()
	wb, err := auth.Issue(cell.To("eu-3"))
	if err != nil {
		panic(err)
	}
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, _ := cell.Get(r.Context())
		fmt.Println(r.URL.Path, value)
	})
	mux := http.NewServeMux()
	mux.Handle("/middleware", must(waybillhttp.NewServer(auth)).Middleware(read))
	mux.Handle("/", read)
	s := httptest.NewServer(otelhttp.NewHandler(mux, "service"))
	defer s.Close()
	get := func(path string) {
		r, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
		if err != nil {
			panic(err)
		}
		r.Header.Set(waybill.Header, wb.Token())
		resp, err := s.Client().Do(r)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
	}
	get("/unbound")
	if err := waybillautoprop.Bind(auth); err != nil {
		panic(err)
	}
	get("/bound")
	get("/middleware")
}

func authority() *waybill.Authority {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(set), waybill.Claims(cell))
	if err != nil {
		panic(err)
	}
	return auth
}

// A process whose environment says so reads claims by its instrumentation alone, from the moment its Authority is bound. It
// can tell if the environment does not say so, and the middleware does not need it.
func TestProcess(t *testing.T) {
	const without = "installed: waybillautoprop: the global propagator does not include waybills: "
	for _, tt := range []struct{ name, value, installed, bound string }{
		{"named", "tracecontext,baggage,waybill", "installed: <nil>", "/bound eu-3"},
		{"spaces", "tracecontext, baggage, waybill", without + `OTEL_PROPAGATORS="tracecontext, baggage, waybill" has spaces ` +
			`around waybill: separate names by a comma alone`, "/bound"},
		{"not-named", "tracecontext", without + `OTEL_PROPAGATORS="tracecontext" does not name waybill: add it`, "/bound"},
		{"not-set", "", without + "OTEL_PROPAGATORS is not set", "/bound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), serviceEnv+"=1", "OTEL_PROPAGATORS="+tt.value)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(string(out)) {
				got = append(got, strings.TrimSpace(line))
			}
			want := []string{tt.installed, "/unbound", tt.bound, "/middleware eu-3"}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
