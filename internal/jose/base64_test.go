package jose

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

// decodeStd is what encoding/base64 says of src, but for the line breaks that it skips.
func decodeStd(src []byte) ([]byte, bool) {
	out, err := base64.RawURLEncoding.Strict().DecodeString(string(src))
	return out, err == nil && !bytes.ContainsAny(src, "\r\n")
}

// decodeInto decodes into memory that has bytes of others on both sides, and reports whether it wrote over them.
func decodeInto(src []byte) (out []byte, ok, spilled bool) {
	n := base64.RawURLEncoding.DecodedLen(len(src))
	room := bytes.Repeat([]byte{0xa5}, n+32)
	out, ok = decode64(room[16:16+n:16+n], src)
	border := bytes.Repeat([]byte{0xa5}, 16)
	return out, ok, !bytes.Equal(room[:16], border) || !bytes.Equal(room[16+n:], border)
}

func wantDecoded(t *testing.T, src []byte) {
	t.Helper()
	want, wantOK := decodeStd(src)
	got, ok, spilled := decodeInto(src)
	if ok != wantOK || ok && !bytes.Equal(got, want) || spilled {
		t.Fatalf("%q: got %x, %v, spilled %v, want %x, %v", src, got, ok, spilled, want, wantOK)
	}
}

func TestDecode64(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	raw := make([]byte, 70)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	for n := range raw {
		text := []byte(base64.RawURLEncoding.EncodeToString(raw[:n]))
		wantDecoded(t, text)
		if got, ok, _ := decodeInto(text); !ok || !bytes.Equal(got, raw[:n]) {
			t.Fatalf("%d bytes: got %x, %v, want %x", n, got, ok, raw[:n])
		}
		for i := range text {
			old := text[i]
			for c := range 256 {
				text[i] = byte(c)
				wantDecoded(t, text)
			}
			text[i] = old
			wantDecoded(t, text[:i]) // of every length, also those that no bytes have
		}
	}
}

// FuzzDecode64 compares with encoding/base64.
func FuzzDecode64(f *testing.F) {
	for _, token := range vectorTokens(f) {
		f.Add([]byte(token))
	}
	f.Add([]byte("AAAA"))
	f.Fuzz(func(t *testing.T, src []byte) { wantDecoded(t, src) })
}
