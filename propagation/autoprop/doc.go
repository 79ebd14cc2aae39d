// Package waybillautoprop lets the environment choose the propagator of waybills: OTEL_PROPAGATORS may
// then contain "waybill", next to OpenTelemetry's own propagators.
//
// Import the package, set the propagator that the variable names, and bind the Authority as soon as it
// exists:
//
//	otel.SetTextMapPropagator(autoprop.NewTextMapPropagator()) // go.opentelemetry.io/contrib/propagators/autoprop
//	...
//	err := waybillautoprop.Bind(auth)
//
// Then start the program with
//
//	OTEL_PROPAGATORS=tracecontext,baggage,waybill
//
// Separate names by a comma alone. OpenTelemetry reports a name with a space before it as unknown to its
// error handler, and continues without it; [Installed] reports that as well.
//
// The bound propagator is that of [waybillprop.New] without options: it extracts, and injects nothing.
//
// The package is a separate module because its registry requires the propagators of other vendors.
//
// Integration tests: internal/integration/autoprop.
package waybillautoprop
