package waybill

import (
	"crypto/sha256"
	"encoding/base64"
	"iter"
	"slices"
	"strings"

	"github.com/waybill-go/waybill/internal/jose"
)

// held is one token that a client holds.
type held struct {
	raw  string
	wb   *Waybill // nil if it is not genuine
	err  error    // why it is not accepted
	name string   // of a token that is one of several; see named
}

// openHeld opens a token that came from a client.
func (a *Authority) openHeld(raw string) held {
	h := held{raw: raw}
	var e Ended
	if h.err = a.openEnded(&e, raw); h.err == nil {
		h.wb, h.err = e.wb, e.err
	}
	return h
}

// named returns the token with its name.
func (h held) named() held {
	switch {
	case h.name != "":
	case h.wb == nil:
		h.name = nameOf(h.raw)
	default:
		h.name = h.wb.Name()
	}
	return h
}

// Name returns the token's name in the set of tokens that a client holds: 8 characters of the base64url
// alphabet. Tokens that renew or merge the same tokens have the same name, so that their cookies replace
// one another. See docs/token.md.
func (w *Waybill) Name() string {
	if w.unique() {
		return nameOf(w.Token())
	}
	var names []string
	for name := range w.includes() {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return nameOf(strings.Join(names, ""))
}

func nameOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// unique reports whether the token's request began a journey, possibly an empty one, or changed a claim. Any
// other token renews or merges the tokens that its request carried.
func (w *Waybill) unique() bool { return w.raw(jose.Was) != nil || w.raw(jose.Has) == nil }

// stepped reports whether the token's request changed its journey.
func (w *Waybill) stepped() bool { return !w.vacant() && w.unique() }

// step returns 1 if the token's request changed its journey, and 0 otherwise.
func (w *Waybill) step() int64 {
	if w.stepped() {
		return 1
	}
	return 0
}

// snapshot returns how many changes the token's request started from.
func (w *Waybill) snapshot() int64 { return w.body().claims.Rev - w.step() }

// includes returns the names of the tokens that the token's request carried.
func (w *Waybill) includes() iter.Seq[[]byte] {
	has := w.raw(jose.Has)
	if has == nil {
		return func(func([]byte) bool) {}
	}
	return slices.Chunk(has[1:len(has)-1], jose.NameLen)
}

// compare orders the tokens of one journey for their merge: the token whose request started from the most
// changes comes first.
func (h held) compare(other held) int {
	if d := other.wb.snapshot() - h.wb.snapshot(); d != 0 {
		return int(max(-1, min(1, d)))
	}
	if d := other.wb.body().claims.Rev - h.wb.body().claims.Rev; d != 0 {
		return int(max(-1, min(1, d)))
	}
	if d := strings.Compare(h.name, other.name); d != 0 {
		return d
	}
	return strings.Compare(h.raw, other.raw)
}
