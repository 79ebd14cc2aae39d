package keyring

import (
	"bytes"
	"testing"
)

// TestSealed: what is taken for a sealed ring may lie where others read it, so nothing with a key in it is.
func TestSealed(t *testing.T) {
	plain := wrapSet(t, "shop")
	shared, err := sharedWrapper(t, make([]byte, 32)).Wrap("shop", 1, plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		want bool
	}{
		{"under a shared key", shared, true},
		{"an envelope", []byte(`{"v":1,"domain":"shop","ct":"AAAA"}`), true},
		{"in plain", plain, false},
		{"in plain, dressed up", bytes.Replace(plain, []byte("{"), []byte(`{"v":1,"ct":"AAAA",`), 1), false},
		{"in plain, dressed up in other letters", bytes.Replace(bytes.Replace(plain, []byte(`"keys"`), []byte(`"KEYS"`), 1),
			[]byte("{"), []byte(`{"v":1,"ct":"AAAA",`), 1), false},
		{"with more behind it", append(bytes.Clone(shared), plain...), false},
		{"of no kind", []byte(`{"ct":"AAAA"}`), false},
		{"with nothing in it", []byte(`{"v":1,"ct":""}`), false},
		{"of nothing", nil, false},
	} {
		if got := IsWrapped(c.data); got != c.want {
			t.Errorf("a ring %s: got sealed %v, want %v", c.name, got, c.want)
		}
	}
}

// FuzzSealed: nothing that could be read as a ring is taken for a sealed one.
func FuzzSealed(f *testing.F) {
	plain := wrapSet(f, "shop")
	f.Add(plain)
	f.Add([]byte(`{"v":1,"ct":"AAAA"}`))
	f.Add(bytes.Replace(plain, []byte("{"), []byte(`{"v":1,"ct":"AAAA",`), 1))
	f.Add(bytes.Replace(plain, []byte("{"), []byte(`{"kind":"waybill/shared/v1","ct":"AAAA","keys":null,`), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !IsWrapped(data) {
			return
		}
		if _, err := ParseSet(data); err == nil {
			t.Errorf("%q is a ring in plain", data)
		}
		if _, err := ParseForeign("shop", data); err == nil {
			t.Errorf("%q is a foreign ring in plain", data)
		}
	})
}
