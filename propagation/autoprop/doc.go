// Package waybillautoprop lets the environment choose the propagator of waybills: with it, OTEL_PROPAGATORS may name
// "waybill" beside OpenTelemetry's own.
//
// The ordinary path: import the package, set the propagator that the variable names, and bind the Authority as soon as there
// is one.
//
//	otel.SetTextMapPropagator(autoprop.NewTextMapPropagator()) // go.opentelemetry.io/contrib/propagators/autoprop
//	...
//	waybillautoprop.Bind(auth)
//
// and then
//
//	OTEL_PROPAGATORS=tracecontext,baggage,waybill
//
// Names are separated by a comma alone. OpenTelemetry takes a name with a space before it for an unknown one and goes on
// without, after a word to its error handler: [Installed] tells.
//
// What is bound is a propagator of [waybillprop.New] without options. It extracts, and injects what is granted; a program
// that sends its waybills everywhere says so in its code, and not in its environment.
//
// It is a module of its own, because the registry that it uses brings along the propagators of other vendors.
package waybillautoprop
