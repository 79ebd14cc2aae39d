package agering

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
)

// url is the encoding of keys in lines of text.
var url = base64.RawURLEncoding.Strict()

// keyOf reads 32 bytes in base64url, in their one spelling: the decoder alone would skip line feeds.
func keyOf(text string) ([]byte, bool) {
	key, err := url.DecodeString(text)
	return key, err == nil && len(key) == 32 && url.EncodeToString(key) == text
}

// encode writes v as one line of JSON.
func encode(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings, numbers and bytes
	}
	return append(out, '\n')
}

// decode reads what encode wrote and nothing that only means the same: no other order, no white space, no member twice
// or in other letters, nothing behind it. So one value has one encoding, and what is signed is what is read.
func decode(line []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(v) != nil {
		return false
	}
	if _, err := d.Token(); err != io.EOF {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && bytes.Equal(append(again, '\n'), line)
}

// statement is what a signature covers: each part behind its length, so that no two lists of parts share their bytes.
func statement(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
