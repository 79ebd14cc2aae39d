package jose

import "bytes"

// names accepts the value of has: a string of token names, each of eight characters of the base64url
// alphabet.
func names(v []byte) bool {
	s, ok := plainString(v)
	if !ok || len(s) == 0 || len(s)%NameLen != 0 || len(s) > MaxNames*NameLen {
		return false
	}
	for _, c := range s {
		if values[c] == 0xff {
			return false
		}
	}
	return true
}

// before accepts the value of was: an object whose values are arrays of at most one element.
func before(v []byte) (ok bool) {
	ok = v[0] == '{'
	if ok {
		Members(v, func(name, value []byte) bool {
			ok = unescaped(name) && value[0] == '[' && (len(value) == 2 || valueEnd(value, 1) == len(value)-1)
			return ok
		})
	}
	return ok
}

// lastWrites accepts the value of upd, an object of whole numbers above zero, and returns the
// greatest of them, or 0.
func lastWrites(v []byte) (latest int64, ok bool) {
	ok = v[0] == '{'
	if ok {
		Members(v, func(name, value []byte) bool {
			var rev int64
			rev, ok = whole(value, MaxRev)
			ok = ok && rev > 0 && unescaped(name)
			latest = max(latest, rev)
			return ok
		})
	}
	return latest, ok
}

func unescaped(name []byte) bool { return bytes.IndexByte(name, '\\') < 0 }

// Members calls yield for each member of an object in its order, with the raw name, without quotes,
// and the raw value, until yield returns false. The object must be a value that [ParseClaims] or
// [ValidValue] has accepted; of other text Members yields an unspecified part. It allocates nothing.
func Members(object []byte, yield func(name, value []byte) bool) {
	for i := 1; i < len(object) && object[i] == '"'; i++ { // behind the brace or a comma
		colon := valueEnd(object, i)
		if colon >= len(object) {
			return
		}
		end := valueEnd(object, colon+1)
		if !yield(object[i+1:colon-1], object[colon+1:end]) {
			return
		}
		i = end
	}
}

// valueEnd returns the position behind the JSON value at b[i], which the scanner has accepted before.
func valueEnd(b []byte, i int) int {
	if i < len(b) && b[i] == '"' {
		return stringEnd(b, i)
	}
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of the object or array around a number or literal
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// stringEnd returns the position behind the JSON string at b[i].
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		i += plainRun(b[i:])
		if i == len(b) {
			break
		}
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(b)
}
