package jose

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
)

// Claims is a verified payload, indexed. The registered claims are read once; the application's
// stay as they came until somebody asks for them.
type Claims struct {
	Iat, Exp, End, Nbf int64 // seconds since 1970; Nbf is 0 if absent

	Began int64 // seconds since 1970, the first 4 bytes of the sid

	Rev    int64 // 1 if absent
	HasRev bool  // whether rev is present
	Sup    int64 // 0 if absent

	payload []byte
	index   members
}

// The registered claims of a waybill (RFC 7519, section 4.1, and the profile's own).
const (
	Aud = "aud"
	Sid = "sid"
	Iat = "iat"
	Exp = "exp"
	End = "end"
	Nbf = "nbf"
	Iss = "iss"
	Sub = "sub"
	Bas = "bas"
)

// The registered claims that only an edge writes.
const (
	Rev = "rev"
	Has = "has"
	Was = "was"
	Upd = "upd"
	Sup = "sup"
)

// Limits of the claims of edges.
const (
	MaxRev   = maxWhole
	MaxSup   = 1 << 40
	NameLen  = 8   // characters of a token's name
	MaxNames = 192 // in has
)

const maxWhole = 1<<53 - 1 // what every JSON library keeps exactly (RFC 7493, section 2.2)

// ParseClaims reads a payload into c, which keeps it. The payload must be addressed to domain.
// Names of claims are written without escapes: otherwise one claim would have two spellings, and a
// reader could miss one of them.
func ParseClaims(c *Claims, payload []byte, domain string) error {
	c.payload = payload
	if err := c.index.scan(payload); err != nil {
		return malformed("payload: " + err.Error())
	}
	if c.index.escaped {
		return malformed("payload: a claim name is written with an escape")
	}
	c.Rev, c.HasRev, c.Sup = 1, false, 0
	var aud, sid []byte
	var latest int64 // the greatest value in upd
	for i := range c.index.n {
		m := c.index.at(i)
		name, v := m.name(payload), m.value(payload)
		ok := true
		switch string(name) {
		case Aud:
			aud = v
		case Sid:
			if sid, ok = plainString(v); ok {
				c.Began, ok = Began(sid)
			}
		case Bas:
			var bas []byte
			bas, ok = plainString(v)
			ok = ok && canonical128(bas)
		case Iat:
			c.Iat, ok = seconds(v)
		case Exp:
			c.Exp, ok = seconds(v)
		case End:
			c.End, ok = seconds(v)
		case Nbf:
			c.Nbf, ok = seconds(v)
		case Iss, Sub:
			ok = v[0] == '"'
		case Rev:
			c.Rev, ok = whole(v, MaxRev)
			c.HasRev = true
		case Has:
			ok = names(v)
		case Was:
			ok = before(v)
		case Upd:
			latest, ok = lastWrites(v)
		case Sup:
			c.Sup, ok = whole(v, MaxSup)
		}
		if !ok {
			return malformed("claim " + string(name) + " is not of its registered type")
		}
	}
	switch {
	case aud == nil:
		return malformed("no aud")
	case c.Exp == 0:
		return malformed("no exp")
	case c.Iat == 0:
		return malformed("no iat")
	case c.End == 0:
		return malformed("no end")
	case sid == nil:
		return malformed("no sid")
	case latest > c.Rev:
		return malformed("claim upd has a value above rev")
	}
	return audience(aud, domain)
}

// audience accepts the domain as a string, or as an array of that one string, which some libraries
// always write.
func audience(aud []byte, domain string) error {
	if aud[0] == '[' {
		var list []string
		if json.Unmarshal(aud, &list) != nil || len(list) != 1 {
			return &Error{Audience, "aud names not exactly one audience"}
		}
		if list[0] == domain {
			return nil
		}
	} else if s, ok := plainString(aud); ok {
		if string(s) == domain {
			return nil
		}
	} else if aud[0] != '"' {
		return malformed("claim aud is not of its registered type")
	} else if unquote(aud[1:len(aud)-1]) == domain {
		return nil
	}
	return &Error{Audience, "for another audience"}
}

// seconds reads a NumericDate, which here is a whole number above zero.
func seconds(v []byte) (n int64, ok bool) {
	n, ok = whole(v, maxWhole)
	return n, ok && n > 0
}

// whole reads a whole number up to max, written in digits alone. The scanner has seen that v is a
// JSON value, so it has no leading zeros.
func whole(v []byte, max int64) (n int64, ok bool) {
	for _, c := range v {
		if c < '0' || c > '9' || n > maxWhole/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= max
}

// Began returns the second in which the journey of a sid began.
func Began[T string | []byte](sid T) (seconds int64, ok bool) {
	if len(sid) != saltLen {
		return 0, false
	}
	var enc [saltLen]byte
	var raw [16]byte
	_, ok = decode64(raw[:], enc[:copy(enc[:], sid)])
	return int64(binary.BigEndian.Uint32(raw[:])), ok
}

// canonical128 accepts 128 bits in base64url.
func canonical128(s []byte) bool {
	if len(s) != saltLen {
		return false
	}
	var raw [16]byte
	_, ok := decode64(raw[:], s)
	return ok
}

// Payload returns the exact bytes that were parsed.
func (c *Claims) Payload() []byte { return c.payload }

// Len returns the number of claims.
func (c *Claims) Len() int { return c.index.n }

// Raw returns the JSON value of a claim as it stands in the payload, or nil. The caller must not
// change it.
func (c *Claims) Raw(name string) []byte { return c.index.find(c.payload, name) }

// Text returns a string claim whose type ParseClaims has checked, or "".
func (c *Claims) Text(name string) string {
	v := c.Raw(name)
	if v == nil {
		return ""
	}
	return unquote(v[1 : len(v)-1])
}

// All calls yield for each claim in the order of the payload, with its raw name and value.
func (c *Claims) All(yield func(name, value []byte) bool) {
	for i := range c.index.n {
		m := c.index.at(i)
		if !yield(m.name(c.payload), m.value(c.payload)) {
			return
		}
	}
}

// Builder appends claims to a payload. The zero value is ready.
type Builder struct{ b []byte }

// Grow makes room for n bytes.
func (p *Builder) Grow(n int) { p.b = append(make([]byte, 0, len(p.b)+n), p.b...) }

func (p *Builder) name(name string) {
	if len(p.b) == 0 {
		p.b = append(p.b, '{')
	} else {
		p.b = append(p.b, ',')
	}
	p.b = append(append(append(p.b, '"'), name...), '"', ':')
}

// Raw appends a claim. Name and value must be valid JSON already: a name without quotes, a value
// without white space.
func (p *Builder) Raw(name string, value []byte) {
	p.name(name)
	p.b = append(p.b, value...)
}

// Plain appends a string claim whose value needs no escaping.
func (p *Builder) Plain(name, value string) {
	p.name(name)
	p.b = append(append(append(p.b, '"'), value...), '"')
}

// Seconds appends a NumericDate.
func (p *Builder) Seconds(name string, t int64) { p.Number(name, t) }

// Number appends a whole number.
func (p *Builder) Number(name string, n int64) {
	p.name(name)
	p.b = strconv.AppendInt(p.b, n, 10)
}

// Payload closes the object and returns it.
func (p *Builder) Payload() []byte {
	if len(p.b) == 0 {
		return []byte("{}")
	}
	return append(p.b, '}')
}
