package waybill

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// Claim is a typed name for a value in a waybill. Declare it once, in a package that all services
// import:
//
//	var Cell  = waybill.NewClaim[string]("cell")
//	var Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
//
// The value is encoded with encoding/json. A number in a value of type any is a [json.Number], so that no
// digit is lost. A Claim is immutable and safe for concurrent use.
type Claim[T any] struct{ def declaration }

// Declaration is a [Claim] of any type, as an argument of [Claims] and of options that name claims.
type Declaration interface {
	// Name returns the claim's name in the token.
	Name() string

	declare() *declaration
}

// declaration describes a claim to an Authority.
type declaration struct {
	name      string
	fixed     bool
	onSuccess bool
	merge     mergeFunc                // nil: the last writer wins
	check     func(value []byte) error // whether a value has the claim's type
}

// mergeFunc merges a claim that both sides changed. A nil value is an absent claim.
type mergeFunc func(base, mine, theirs []byte) ([]byte, error)

// NewClaim returns a claim with a name. [New] reports a name that a token cannot contain.
func NewClaim[T any](name string) Claim[T] {
	return Claim[T]{declaration{name: name, check: func(value []byte) error {
		var v T
		return decode(value, &v)
	}}}
}

// Merge returns the claim with a rule for concurrent changes. The rule gets the value that both
// sides started from (the zero value if there was none), and the value that each side changed it
// to. It must be commutative, associative and idempotent in mine and theirs, so that the order of
// arrival does not matter; waybilltest.CheckRule checks that. Without a rule the last writer wins,
// in the order in which responses arrive.
func (c Claim[T]) Merge(rule func(base, mine, theirs T) T) Claim[T] {
	c.def.merge = func(base, mine, theirs []byte) ([]byte, error) {
		var b, m, t T
		for _, v := range []struct {
			raw []byte
			to  *T
		}{{base, &b}, {mine, &m}, {theirs, &t}} {
			if v.raw == nil {
				continue
			}
			if err := decode(v.raw, v.to); err != nil {
				return nil, err
			}
		}
		return encode(rule(b, m, t))
	}
	return c
}

// Fixed returns the claim as one that is set when the journey starts and never changes afterwards.
func (c Claim[T]) Fixed() Claim[T] {
	c.def.fixed = true
	return c
}

// OnSuccess returns the claim as one whose changes go back only from calls that succeeded.
func (c Claim[T]) OnSuccess() Claim[T] {
	c.def.onSuccess = true
	return c
}

// Name returns the claim's name in the token.
func (c Claim[T]) Name() string { return c.def.name }

func (c Claim[T]) declare() *declaration { return &c.def }

// Get returns the verified value in ctx, and whether the claim is present with the right type.
func (c Claim[T]) Get(ctx context.Context) (T, bool) {
	v, err := c.Lookup(ctx)
	return v, err == nil
}

// Lookup returns the verified value in ctx, or an error: the reason why there is no waybill,
// [ErrNoClaim] or [ErrClaimType].
func (c Claim[T]) Lookup(ctx context.Context) (T, error) {
	wb, err := FromContext(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	return c.lookup(wb)
}

// Of returns the value in wb, which may be nil, and whether the claim is present with the right
// type.
func (c Claim[T]) Of(wb Readable) (T, bool) {
	v, err := c.lookup(wb)
	return v, err == nil
}

// Readable is a [Waybill] or an [Ended] one.
type Readable interface {
	raw(name string) []byte
}

func (c Claim[T]) lookup(wb Readable) (T, error) {
	var zero T
	var raw []byte
	if wb != nil {
		raw = wb.raw(c.def.name)
	}
	if raw == nil {
		return zero, fmt.Errorf("%w: %s", ErrNoClaim, c.def.name)
	}
	if _, ok := any(zero).(string); ok { // without a pointer to the result, which would make it escape
		if s, ok := plain(raw); ok {
			return any(s).(T), nil
		}
	}
	var v T
	if err := decode(raw, &v); err != nil {
		return zero, fmt.Errorf("%w: %s", ErrClaimType, c.def.name)
	}
	return v, nil
}

// plain returns the value of a JSON string without escapes.
func plain(raw []byte) (string, bool) {
	if raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return "", false
	}
	return string(raw[1 : len(raw)-1]), true
}

// To returns the change that sets the claim.
func (c Claim[T]) To(v T) Change {
	raw, err := encode(v)
	return Change{name: c.def.name, apply: func([]byte) ([]byte, error) { return raw, err }}
}

// With returns the change that sets the claim to the result of f, called with the current value, or
// with the zero value if there is none. f runs while the request's scope is locked: it must be
// quick and must not use the context.
func (c Claim[T]) With(f func(T) T) Change {
	return Change{name: c.def.name, apply: func(old []byte) ([]byte, error) {
		var v T
		if old != nil {
			if err := decode(old, &v); err != nil {
				return nil, err
			}
		}
		return encode(f(v))
	}}
}

// Delete returns the change that removes the claim.
func (c Claim[T]) Delete() Change {
	return Change{name: c.def.name, apply: func([]byte) ([]byte, error) { return nil, nil }}
}

// Change is one change of one claim, for [Update], [Authority.Start] and [Authority.Issue].
type Change struct {
	name  string
	apply func(old []byte) ([]byte, error) // nil: absent
}

// Max is a merge rule by which the greater value wins.
func Max[T cmp.Ordered](_, mine, theirs T) T { return max(mine, theirs) }

// Min is a merge rule by which the smaller value wins.
func Min[T cmp.Ordered](_, mine, theirs T) T { return min(mine, theirs) }

// Union is a merge rule for lists that are used as sets. The result contains the elements that
// either side added, without those that either side removed, and is sorted. It is a merge and not a
// plain union: to add elements to a list, use Union(nil, list, elements).
func Union[S ~[]E, E cmp.Ordered](base, mine, theirs S) S {
	out := make(S, 0, len(mine)+len(theirs))
	for _, e := range slices.Concat(mine, theirs) {
		if !slices.Contains(base, e) || slices.Contains(mine, e) && slices.Contains(theirs, e) {
			out = append(out, e)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func encode[T any](v T) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaimType, err)
	}
	if len(raw) > jose.MaxToken {
		return nil, fmt.Errorf("%w: a value of %d bytes fits in no token", ErrTooLarge, len(raw))
	}
	if replaced(raw) {
		return nil, fmt.Errorf("%w: a string is not valid UTF-8", ErrClaimType)
	}
	if !jose.ValidValue(raw) {
		return nil, fmt.Errorf("%w: its JSON has duplicate names or a value that no token can contain", ErrClaimType)
	}
	return raw, nil
}

// replaced reports whether encoding/json has replaced invalid UTF-8: it writes the escape \ufffd for that,
// and the character itself for U+FFFD.
func replaced(raw []byte) bool {
	const escape = `\ufffd`
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(escape))
		if i < 0 {
			return false
		}
		backslashes := 0
		for j := i - 1; j >= 0 && rest[j] == '\\'; j-- {
			backslashes++
		}
		if backslashes%2 == 0 {
			return true
		}
		rest = rest[i+len(escape):]
	}
}

// decode reads a value. Numbers keep their digits where the type does not say what they are.
func decode[T any](raw []byte, v *T) error {
	kind := reflect.TypeFor[T]().Kind()
	if string(raw) == "null" {
		switch kind {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		default:
			return ErrClaimType // encoding/json would leave the zero value
		}
	}
	var err error
	switch kind {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Array, reflect.Interface, reflect.Struct:
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		err = d.Decode(v)
	default:
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaimType, err)
	}
	return nil
}
