package waybillautoprop

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"

	"github.com/waybill-go/waybill"
)

// environment is the variable's name, of OpenTelemetry's specification of SDK environment variables.
const environment = "OTEL_PROPAGATORS"

// Installed returns nil if OpenTelemetry's global propagator carries waybills, by whatever way it got to be the global one,
// or else an error that says what is amiss. Programs call it when they have set up OpenTelemetry, and log the error or stop:
// the transports of waybills work without a propagator, an instrumentation alone does not.
func Installed() error {
	if slices.Contains(otel.GetTextMapPropagator().Fields(), waybill.Header) {
		return nil
	}
	return fmt.Errorf("waybillautoprop: the global propagator carries no waybills: %s", amiss(os.Getenv(environment)))
}

func amiss(value string) string {
	names := strings.Split(value, ",")
	switch {
	case value == "":
		return environment + " is not set"
	case slices.Contains(names, "none"):
		return fmt.Sprintf("%s=%q contains none, which stands for no propagator at all", environment, value)
	case slices.Contains(names, Name):
		return fmt.Sprintf("%s=%q names them, but otel.SetTextMapPropagator was not given autoprop.NewTextMapPropagator()",
			environment, value)
	case slices.ContainsFunc(names, func(name string) bool { return strings.TrimSpace(name) == Name }):
		return fmt.Sprintf("%s=%q has spaces around %s: separate names by a comma alone", environment, value, Name)
	}
	return fmt.Sprintf("%s=%q does not name %s", environment, value, Name)
}
