// Package payment takes the money: gRPC in, and a durable order out over JetStream, which takes the
// waybill along.
package payment

const name = "demo.Payment"

type quote struct{ Card string }
