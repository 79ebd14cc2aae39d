// Package waybillprop is the OpenTelemetry propagator of waybills, for programs whose instrumentation extracts and injects.
//
// The ordinary path: set it beside the propagators of traces and baggage, before any instrumentation is built.
//
//	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
//		propagation.TraceContext{}, propagation.Baggage{}, waybillprop.New(auth)))
//
// Never build the composite of [otel.GetTextMapPropagator] and this one as the first propagator that is set: it would
// contain itself, and the first Inject would overflow the stack.
//
// The module propagation/autoprop registers it by name instead, for programs whose environment chooses:
// OTEL_PROPAGATORS=tracecontext,baggage,waybill.
//
// Extract opens the token, and leaves the waybill, or the reason that there is none, in the context. It refuses nothing:
// that is for the transports of this module, which use its outcome and do not open the token again. They also work
// without it.
//
// Inject writes nothing by default, because a propagator sees no destination: it would send the token to every third
// party that an instrumented client talks to, over redirects too. The transports of this module approve each destination
// and write the token themselves. [waybill.Grant] permits one Inject, for a carrier of one's own; [InsecureInjectAlways]
// permits all of them, for the client of one internal service. What Inject holds back counts as "waybill.withheld", apart
// from the calls that transports count in "waybill.inject".
//
// The propagator has no way back, and it strips nothing: a handler that copies the headers it received into a call of its
// own passes the token on. Middleware of this module takes the token out.
package waybillprop
