package jose

import "bytes"

// header holds the values of a decoded header; kid points into the decoded bytes.
type header struct {
	alg Alg
	kid []byte
}

// The headers that we write ourselves, and other libraries too, since they sort the members. A
// header of this spelling is recognised by its bytes, without a JSON parse.
const (
	headHS256 = `{"alg":"HS256","kid":"`
	headEdDSA = `{"alg":"EdDSA","kid":"`
	headDir   = `{"alg":"dir","enc":"A256GCM","kid":"`
	headTail  = `","typ":"` + Type + `"}`
)

// Headers are returned, not filled in by pointer: what is stored through a pointer escapes to the
// heap.

func knownHeader(b []byte) (h header, ok bool) {
	rest, ok := bytes.CutSuffix(b, []byte(headTail))
	if !ok {
		return h, false
	}
	if h.kid, ok = bytes.CutPrefix(rest, []byte(headHS256)); ok {
		h.alg = HS256
	} else if h.kid, ok = bytes.CutPrefix(rest, []byte(headDir)); ok {
		h.alg = A256GCM
	} else if h.kid, ok = bytes.CutPrefix(rest, []byte(headEdDSA)); ok {
		h.alg = EdDSA
	} else {
		return h, false
	}
	// A quote or a backslash would be structure: let the parser judge it.
	return h, bytes.IndexByte(h.kid, '"') < 0 && bytes.IndexByte(h.kid, '\\') < 0
}

// parseHeader reads a header in any member order. Every member must be one of alg, enc, kid and
// typ: crit, zip, jwk, jku, x5c and whatever comes later are refused rather than ignored.
func parseHeader(b []byte) (h header, err error) {
	var list members
	if err := list.scan(b); err != nil {
		return h, malformed("header: " + err.Error())
	}
	var alg, enc, typ string
	hasEnc := false
	for i := range list.n {
		m := list.at(i)
		v, ok := plainString(m.value(b))
		if !ok {
			return h, malformed("header member is not a plain string")
		}
		switch string(m.name(b)) {
		case "alg":
			alg = string(v)
		case "enc":
			enc, hasEnc = string(v), true
		case "typ":
			typ = string(v)
		case "kid":
			h.kid = v
		default:
			return h, malformed("header has a member outside the profile")
		}
	}
	switch {
	case typ == "":
		return h, malformed("header has no typ")
	case typ != Type:
		return h, malformed("typ is not " + Type)
	case alg == "":
		return h, malformed("header has no alg")
	case h.kid == nil:
		return h, malformed("header has no kid")
	}
	switch alg {
	case "HS256":
		h.alg = HS256
	case "EdDSA", "Ed25519":
		h.alg = EdDSA
	case "dir":
		h.alg = A256GCM
		if enc != "A256GCM" {
			return h, &Error{Algorithm, "enc is not A256GCM"}
		}
	default:
		return h, &Error{Algorithm, "alg is not HS256, dir, EdDSA or Ed25519"}
	}
	if hasEnc && h.alg != A256GCM {
		return h, malformed("enc in the header of a signed token")
	}
	return h, nil
}

// appendHeader appends the header of a token, encoded, without the dot.
func appendHeader(dst []byte, alg Alg, kid, salt string) []byte {
	var raw [maxHeader]byte
	b := raw[:0]
	switch alg {
	case HS256:
		b = append(append(b, headHS256...), kid...)
	case EdDSA:
		b = append(append(b, headEdDSA...), kid...)
	case A256GCM:
		b = append(append(b, headDir...), kid...)
		b = append(append(b, '.'), salt...)
	}
	return encoding.AppendEncode(dst, append(b, headTail...))
}
