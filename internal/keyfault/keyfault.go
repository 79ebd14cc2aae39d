// Package keyfault switches off single rules of package keyring, so that a test can show what fails
// without each of them. Nothing but tests imports it besides keyring.
package keyfault

import "context"

// Off names the rules that do not hold, and the seed of the course of a test.
type Off struct {
	Gate     bool // a new key is used as soon as its time has come
	Union    bool // what the store has replaces what the ring knows, and nothing is put back
	Guard    bool // a node with a wild clock proposes, and its keys are taken
	Validate bool // a policy whose times do not fit is taken

	Seed uint64 // of what the ring draws at random; 0: every run differs
}

type key struct{}

// NewContext returns a context for keyring.Follow and keyring.Maintain in which the rules in off do
// not hold.
func NewContext(ctx context.Context, off Off) context.Context {
	return context.WithValue(ctx, key{}, off)
}

// From returns what is switched off in ctx: nothing, outside of tests.
func From(ctx context.Context) Off {
	off, _ := ctx.Value(key{}).(Off)
	return off
}
