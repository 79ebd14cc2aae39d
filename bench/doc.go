// Package bench measures opening and issuing tokens beside other libraries and bare cryptography, in one run.
//
//	go test -bench . -benchmem
//
// Nothing is cached: every operation does its cryptography. The other libraries get their stock constructors, keys
// parsed beforehand, and a struct to decode into; waybill looks at one claim.
package bench
