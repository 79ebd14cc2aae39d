package jose

import (
	"encoding/base64"
	"encoding/binary"
)

// encoding is base64url without padding (RFC 4648, section 5).
var encoding = base64.RawURLEncoding

// decode64 appends what src stands for to dst[:0] and returns it. It is stricter than
// encoding/base64, which skips line breaks, and half as fast again: opening a token is largely
// this. dst must have room for the result.
func decode64(dst, src []byte) (out []byte, ok bool) {
	dst = dst[:encoding.DecodedLen(len(src))]
	out = dst
	t0, t1, t2, t3 := &shifted[0], &shifted[1], &shifted[2], &shifted[3]
	var outside uint32                   // has the flag if a character was outside the alphabet
	for len(src) >= 8 && len(dst) >= 8 { // 8 characters are 6 bytes; the other 2 are overwritten by the next round
		s := (*[8]byte)(src)
		high := t0[s[0]] | t1[s[1]] | t2[s[2]] | t3[s[3]]
		low := t0[s[4]] | t1[s[5]] | t2[s[6]] | t3[s[7]]
		outside |= high | low
		binary.BigEndian.PutUint64(dst, uint64(high)<<40|uint64(low)<<16)
		src, dst = src[8:], dst[6:]
	}
	var bad byte // its high bit: the same
	t := &values
	for len(src) >= 4 {
		a, b, c, d := t[src[0]], t[src[1]], t[src[2]], t[src[3]]
		bad |= a | b | c | d
		dst[0], dst[1], dst[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		src, dst = src[4:], dst[3:]
	}
	// What is left over must not carry stray bits: they would be a second spelling.
	switch len(src) {
	case 0:
	case 2:
		a, b := t[src[0]], t[src[1]]
		bad |= a | b
		if b&0x0f != 0 {
			return nil, false
		}
		dst[0] = a<<2 | b>>4
	case 3:
		a, b, c := t[src[0]], t[src[1]], t[src[2]]
		bad |= a | b | c
		if c&0x03 != 0 {
			return nil, false
		}
		dst[0], dst[1] = a<<2|b>>4, b<<4|c>>2
	default:
		return nil, false
	}
	return out, bad&0x80 == 0 && outside&flag == 0
}

// shifted are the six bits of each character where they stand in a group of four, or the flag.
var shifted = func() (t [4][256]uint32) {
	for i, v := range values {
		for n := range t {
			t[n][i] = uint32(v) << (18 - 6*n)
			if v == 0xff {
				t[n][i] = flag
			}
		}
	}
	return t
}()

const flag = 1 << 31

// values are the six bits of each character, or 0xff.
var values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i, c := range []byte(alphabet) {
		t[c] = byte(i)
	}
	return t
}()
