// Package waybillprop is the OpenTelemetry propagator of waybills, for programs whose instrumentation
// extracts and injects.
//
// Set it next to the propagators of traces and baggage, before any instrumentation is built:
//
//	waybills, err := waybillprop.New(auth)
//	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
//		propagation.TraceContext{}, propagation.Baggage{}, waybills))
//
// Never build the composite of [otel.GetTextMapPropagator] and this one as the first propagator that is
// set: it would contain itself, and the first Inject would overflow the stack.
//
// The module propagation/autoprop registers the propagator by name instead, for programs that are
// configured by their environment: OTEL_PROPAGATORS=tracecontext,baggage,waybill.
//
// Extract opens the token, and stores the waybill, or the reason why there is none, in the context. It
// refuses nothing. The transports of this module use its outcome and do not open the token again; they
// also work without it. In a request that a transport is handling, Extract of a carrier without a token
// changes nothing.
//
// Inject writes nothing by default. A propagator does not know the destination, so it would send the
// token to every third party that an instrumented client calls, also over redirects. The transports of
// this module approve each destination and send the token themselves. [InsecureInjectAlways] writes it
// for every call.
//
// The propagator returns no changes and removes nothing: a handler that copies the headers it received
// into its own call passes the token on. The transports remove the token.
//
// Integration tests: internal/integration/http, internal/integration/grpc and
// internal/integration/autoprop.
package waybillprop
