package waybill

import (
	"reflect"
	"time"
)

// arrival is what a hop received. A scope refers to it by pointer, because package fmt prints the
// unexported fields of a struct without calling their methods.
type arrival struct {
	raw      string // the first value
	values   int
	at       time.Time // when a queue stored the message; zero: it arrived now
	source   any       // a map or pointer that identifies the request, or nil
	stripped any       // the source that inner layers see, after the token was removed
}

func newArrival(values []string, source any) arrival {
	a := arrival{values: len(values)}
	if identity(source) != 0 {
		a.source = source
	}
	if len(values) > 0 {
		a.raw = values[0]
	}
	return a
}

// sameToken reports whether both arrivals have exactly one token, the same one.
func (a *arrival) sameToken(b *arrival) bool { return a.values == 1 && b.values == 1 && a.raw == b.raw }

// identity returns the identity of the source, for comparisons, or 0 if there is none.
func (a *arrival) identity() uintptr { return identity(a.source) }

// identity returns the address of a map or pointer, and 0 for anything else. Both sides of a
// comparison keep their source alive, so neither address can be reused.
func identity(source any) uintptr {
	if source == nil {
		return 0
	}
	switch v := reflect.ValueOf(source); v.Kind() {
	case reflect.Pointer, reflect.Map:
		return v.Pointer()
	}
	return 0
}
