// Package otelkeys reports the state of a key ring as metrics of the meter "waybill". It uses the
// OpenTelemetry API only.
//
// Typical use is one call after the ring was opened:
//
//	ring, err := keyring.Maintain(ctx, store, wrapper, …)
//	if err != nil { … }
//	_, err = otelkeys.Register(ring)
//
// The instruments, each with the attribute domain once the keys are loaded:
//
//	waybill.keys.contact_age   s      since the source last answered; alarm at half of keyring.Policy.Delay
//	waybill.keys.clock_offset  s      the store's clock minus this node's
//	waybill.keys.active_age    s      since the NotBefore of the active key; alarm at two Periods
//	waybill.keys.pending       {key}  keys whose NotBefore has not come
//	waybill.keys.unsettled     {key}  keys whose NotBefore has passed and that this node does not prefer yet
//	waybill.keys.skipped       {key}  entries of a foreign JWK Set that cannot be used
//	waybill.keys.size          By     the ring in the source
//	waybill.keys.epoch         1      epoch of the current set; generations begin at 1 again in each epoch
//	waybill.keys.generation    1      generation of the current set; the same on all nodes that are in touch with the store
//	waybill.keys.failures      {read} reads that failed, including forged rings, and so changed nothing; a counter
//	waybill.keys.cas                  changes of the store, by outcome: won, lost, unknown, error; a counter
//	waybill.keys.repairs              how often this node put back keys that the store had lost; a counter
//	waybill.keys.unknown_kid          tokens with an unknown kid, by outcome: fetched (the store was read), skipped,
//	                                  throttled; a counter
//	waybill.keys.revoked_used         tokens with the kid of a revoked key; a counter
//
// The metrics contain no key material and no kids.
//
// Integration tests: internal/integration/otelkeys.
package otelkeys

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill/keyring"
)

// Option configures [Register].
type Option interface{ apply(*config) }

type config struct{ provider metric.MeterProvider }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// MeterProvider sets the meter provider; the global provider by default, and if p is nil.
func MeterProvider(p metric.MeterProvider) Option { return option(func(c *config) { c.provider = p }) }

// Register reports the figures of a ring whenever metrics are collected, until the registration is
// removed with Unregister. Reading the figures takes no lock and does no I/O. Register returns an
// error if the provider rejects an instrument. Rings of different domains can use the same
// provider; two rings of one domain need different providers.
func Register(ring *keyring.Ring, opts ...Option) (metric.Registration, error) {
	if ring == nil {
		return nil, errors.New("otelkeys: the ring is nil")
	}
	c := config{}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("otelkeys: an option is nil")
		}
		o.apply(&c)
	}
	if c.provider == nil {
		c.provider = otel.GetMeterProvider()
	}
	in := instruments{meter: c.provider.Meter("waybill")}
	ages := []age{
		{in.seconds("contact_age", "Since the source of the ring last answered."),
			func(s keyring.Stats) float64 { return s.ContactAge.Seconds() }},
		{in.seconds("clock_offset", "The store's clock minus this node's."),
			func(s keyring.Stats) float64 { return s.ClockOffset.Seconds() }},
		{in.seconds("active_age", "Since the NotBefore of the active key; of several protections the longest."),
			func(s keyring.Stats) float64 { return s.ActiveAge.Seconds() }},
	}
	counts := []count{
		{in.gauge("pending", "{key}", "Keys whose NotBefore has not come."),
			func(s keyring.Stats) int64 { return int64(s.Pending) }},
		{in.gauge("unsettled", "{key}", "Keys whose NotBefore has passed and that this node does not prefer yet."),
			func(s keyring.Stats) int64 { return int64(s.Unsettled) }},
		{in.gauge("skipped", "{key}", "Entries of a foreign JWK Set that cannot be used."),
			func(s keyring.Stats) int64 { return int64(s.Skipped) }},
		{in.gauge("size", "By", "Size of the ring in its source."),
			func(s keyring.Stats) int64 { return int64(s.Size) }},
		{in.gauge("epoch", "1", "Epoch of the current set of keys."),
			func(s keyring.Stats) int64 { return int64(s.Epoch) }},
		{in.gauge("generation", "1", "Generation of the current set of keys."),
			func(s keyring.Stats) int64 { return int64(s.Generation) }},
		{in.counter("failures", "{read}", "Reads of the source that failed, and so changed nothing."),
			func(s keyring.Stats) int64 { return int64(s.Failures) }},
		{in.counter("repairs", "{repair}", "How often this node put back keys that the store had lost."),
			func(s keyring.Stats) int64 { return int64(s.Repairs) }},
		{in.counter("revoked_used", "{token}", "Tokens with the kid of a revoked key."),
			func(s keyring.Stats) int64 { return int64(s.RevokedUsed) }},
	}
	cas := in.counter("cas", "{change}", "Changes of the store, by outcome: won, lost, unknown, error.")
	unknown := in.counter("unknown_kid", "{token}", "Tokens with an unknown kid, by outcome: fetched, skipped, throttled.")
	if in.err != nil {
		return nil, fmt.Errorf("otelkeys: %w", in.err)
	}
	outcomes := []outcome{
		{cas, "won", func(s keyring.Stats) uint64 { return s.CASWon }},
		{cas, "lost", func(s keyring.Stats) uint64 { return s.CASLost }},
		{cas, "unknown", func(s keyring.Stats) uint64 { return s.CASUnknown }},
		{cas, "error", func(s keyring.Stats) uint64 { return s.CASErrors }},
		{unknown, "fetched", func(s keyring.Stats) uint64 { return s.UnknownFetched }},
		{unknown, "skipped", func(s keyring.Stats) uint64 { return s.UnknownSkipped }},
		{unknown, "throttled", func(s keyring.Stats) uint64 { return s.UnknownThrottled }},
	}
	registration, err := in.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := ring.Stats()
		var attrs []attribute.KeyValue
		if domain := ring.Set().Domain(); domain != "" {
			attrs = append(attrs, attribute.String("domain", domain))
		}
		label := metric.WithAttributes(attrs...)
		for _, m := range ages {
			o.ObserveFloat64(m.of, m.value(s), label)
		}
		for _, m := range counts {
			o.ObserveInt64(m.of, m.value(s), label)
		}
		for _, m := range outcomes {
			o.ObserveInt64(m.of, int64(m.value(s)), label, metric.WithAttributes(attribute.String("outcome", m.name)))
		}
		return nil
	}, in.all...)
	if err != nil {
		return nil, fmt.Errorf("otelkeys: %w", err)
	}
	return registration, nil
}

// age and count are instruments with the figures that they report.
type age struct {
	of    metric.Float64Observable
	value func(keyring.Stats) float64
}

type count struct {
	of    metric.Int64Observable
	value func(keyring.Stats) int64
}

// outcome is one of the series of a counter.
type outcome struct {
	of    metric.Int64Observable
	name  string
	value func(keyring.Stats) uint64
}

// instruments collects the instruments and the errors of making them.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	err   error
}

func (in *instruments) seconds(name, desc string) metric.Float64Observable {
	i, err := in.meter.Float64ObservableGauge("waybill.keys."+name, metric.WithUnit("s"), metric.WithDescription(desc))
	in.made(i, err)
	return i
}

func (in *instruments) gauge(name, unit, desc string) metric.Int64Observable {
	i, err := in.meter.Int64ObservableGauge("waybill.keys."+name, metric.WithUnit(unit), metric.WithDescription(desc))
	in.made(i, err)
	return i
}

func (in *instruments) counter(name, unit, desc string) metric.Int64Observable {
	i, err := in.meter.Int64ObservableCounter("waybill.keys."+name, metric.WithUnit(unit), metric.WithDescription(desc))
	in.made(i, err)
	return i
}

func (in *instruments) made(i metric.Observable, err error) {
	in.all = append(in.all, i)
	in.err = errors.Join(in.err, err)
}
