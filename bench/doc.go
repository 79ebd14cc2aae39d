// Package bench measures opening and issuing tokens, next to other libraries and plain
// cryptography, in one run.
//
//	go test -bench . -benchmem
//
// Nothing is cached: every operation does its cryptography. The other libraries use their standard
// constructors, keys that are parsed before, and a struct to decode into. Waybill reads one claim.
package bench
