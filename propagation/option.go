package waybillprop

// Option configures [New].
type Option interface{ apply(*propagator) }

type option func(*propagator)

func (o option) apply(p *propagator) { o(p) }

// InsecureInjectAlways makes Inject write the waybill of every context, wherever the call goes: to third parties, and to
// whomever they redirect to. It is for the one client, or the one connection, that talks to services of the trust domain
// only:
//
//	otelhttp.NewTransport(base, otelhttp.WithPropagators(waybillprop.New(auth, waybillprop.InsecureInjectAlways())))
//
// Set as the global propagator it gives every waybill away.
func InsecureInjectAlways() Option { return option(func(p *propagator) { p.always = true }) }
