package waybillprop

// Option configures [New].
type Option interface{ apply(*propagator) }

type option func(*propagator)

func (o option) apply(p *propagator) { o(p) }

// InsecureInjectAlways makes Inject write the waybill of every context, wherever the call goes: to third
// parties, and to any host they redirect to. Use it for a single client or connection whose services all
// belong to the trust domain:
//
//	otelhttp.NewTransport(base, otelhttp.WithPropagators(propagator))
//
// Set as the global propagator, it sends every waybill to every destination.
func InsecureInjectAlways() Option { return option(func(p *propagator) { p.always = true }) }
