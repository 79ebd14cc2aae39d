package waybillautoprop

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"

	"github.com/waybill-go/waybill"
)

// environment is the name of the variable, from OpenTelemetry's specification of SDK environment
// variables.
const environment = "OTEL_PROPAGATORS"

// Installed returns nil if OpenTelemetry's global propagator includes the one for waybills, and otherwise
// an error that says what is wrong. Call it after setting up OpenTelemetry, and log the error or stop:
// the transports work without a propagator, but instrumentation alone does not.
func Installed() error {
	if slices.Contains(otel.GetTextMapPropagator().Fields(), waybill.Header) {
		return nil
	}
	return fmt.Errorf("waybillautoprop: the global propagator does not include waybills: %s", amiss(os.Getenv(environment)))
}

func amiss(value string) string {
	names := strings.Split(value, ",")
	switch {
	case value == "":
		return environment + " is not set"
	case slices.Contains(names, "none"):
		return fmt.Sprintf("%s=%q contains none, which disables all propagators", environment, value)
	case slices.Contains(names, Name):
		return fmt.Sprintf("%s=%q contains waybill, but otel.SetTextMapPropagator was not called with autoprop.NewTextMapPropagator()",
			environment, value)
	case slices.ContainsFunc(names, func(name string) bool { return strings.TrimSpace(name) == Name }):
		return fmt.Sprintf("%s=%q has spaces around %s: separate names by a comma alone", environment, value, Name)
	}
	return fmt.Sprintf("%s=%q does not name %s: add it", environment, value, Name)
}
