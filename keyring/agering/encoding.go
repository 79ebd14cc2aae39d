package agering

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
)

// url encodes keys in lines of text.
var url = base64.RawURLEncoding.Strict()

// keyOf decodes 32 bytes in base64url, in their only spelling: the decoder itself would skip line
// feeds.
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

// decode reads a line exactly as encode writes it, and rejects any other spelling: another order,
// white space, a repeated member, a member with other letter case, data after the value. So a value
// has one encoding, and the signed bytes are the bytes that were read.
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

// statement returns the bytes that a signature covers: each part after its length, so that two
// different lists of parts have different bytes.
func statement(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
