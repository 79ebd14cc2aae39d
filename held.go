package waybill

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/waybill-go/waybill/internal/jose"
)

// held is one token that a client holds.
type held struct {
	raw  string
	wb   *Waybill // nil if it is not genuine
	err  error    // why it is not accepted
	name string
}

// openHeld opens a token that came from a client.
func (a *Authority) openHeld(raw string) held {
	h := held{raw: raw}
	e, err := a.OpenEnded(raw)
	if err != nil {
		h.err, h.name = err, nameOf(raw)
		return h
	}
	h.wb, h.err = e.wb, e.err
	h.name = h.wb.Name()
	return h
}

// Name returns the token's name in the set of tokens that a client holds: 8 characters of the base64url
// alphabet. Tokens that renew or merge the same tokens have the same name, so that their cookies replace
// one another. See docs/token.md.
func (w *Waybill) Name() string {
	has := w.text(jose.Has)
	if has == "" || w.stepped() {
		return nameOf(w.Token())
	}
	names := make([]string, 0, len(has)/jose.NameLen)
	for name := range slices.Chunk([]byte(has), jose.NameLen) {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return nameOf(strings.Join(names, ""))
}

func nameOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// stepped reports whether the token's request began the journey or changed a claim of it.
func (w *Waybill) stepped() bool {
	c := &w.body().claims
	return c.Rev > 0 && (c.Raw(jose.Was) != nil || c.Raw(jose.Has) == nil)
}

// step returns 1 if the token's request changed its journey, and 0 otherwise.
func (w *Waybill) step() int64 {
	if w.stepped() {
		return 1
	}
	return 0
}

// snapshot returns how many changes the token's request started from.
func (w *Waybill) snapshot() int64 { return w.body().claims.Rev - w.step() }

// includes reports whether the token's request carried the token of that name.
func (w *Waybill) includes(name string) bool {
	has := w.raw(jose.Has)
	if has == nil {
		return false
	}
	for known := range slices.Chunk(has[1:len(has)-1], jose.NameLen) {
		if string(known) == name {
			return true
		}
	}
	return false
}

// compare orders the tokens of one journey for their merge: the one whose request started from the most
// changes first.
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
