package waybill_test

// This file is the generator of testdata/vectors. It follows the RFCs and the documented profile,
// and shares no code with the implementation, so that a bug there cannot hide here.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/waybill-go/waybill"
)

const (
	vectorDomain  = "shop"
	vectorNow     = 1750000000
	vectorIat     = vectorNow - 300
	vectorExp     = vectorNow + 600
	vectorEnd     = vectorNow + 43200
	vectorSalt    = "EBESExQVFhcYGRobHB0eHw" // bytes 16 to 31
	vectorSID     = "aE7gVAQFBgcICQoLDA0ODw" // begun at vectorIat, then bytes 4 to 15
	vectorPayload = `{"aud":"shop","sid":"` + vectorSID + `","iat":1749999700,"exp":1750000600,"end":1750043200,"cell":"eu-3","seats":2}`

	ringCreated = 1740000000
	ringExpires = 1790000000
)

// vectorKey is a key of the vectors' ring.
type vectorKey struct {
	alg          string
	secret       []byte // for EdDSA, the seed
	created, nbf int64
	exp          int64
}

func testKey(alg, label string, created, nbf, exp int64) vectorKey {
	secret := sha256.Sum256([]byte("waybill test vector key, nobody's secret: " + label))
	return vectorKey{alg, secret[:], created, nbf, exp}
}

var (
	keyMAC     = testKey("HS256", "mac", ringCreated, ringCreated, ringExpires)
	keyPending = testKey("HS256", "pending", ringCreated, 1760000000, ringExpires)
	keyGone    = testKey("HS256", "gone", ringCreated, ringCreated, vectorNow-100)
	keyRevoked = testKey("HS256", "revoked", ringCreated, ringCreated, ringExpires)
	keyOther   = testKey("HS256", "not in the ring", ringCreated, ringCreated, ringExpires)
	keySeal    = testKey("dir", "seal", ringCreated, ringCreated, ringExpires)
	keySign    = testKey("EdDSA", "sign", ringCreated, ringCreated, ringExpires)
)

func (k vectorKey) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.secret) }

func (k vectorKey) public() []byte { return k.private().Public().(ed25519.PublicKey) }

// kid returns the first 8 bytes of SHA-256 over label, alg, use and key, each after its length in
// two bytes, and the three times in eight bytes each.
func (k vectorKey) kid() string {
	use, material := "sig", k.secret
	switch k.alg {
	case "dir":
		use = "deriveKey"
	case "EdDSA":
		material = k.public()
	}
	h := sha256.New()
	for _, part := range []string{"waybill/kid/v1", k.alg, use, string(material)} {
		h.Write([]byte{byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	for _, t := range []int64{k.created, k.nbf, k.exp} {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(t))
		h.Write(b[:])
	}
	return b64(h.Sum(nil)[:8])
}

func (k vectorKey) jwk() string {
	members := fmt.Sprintf(`"kty":"oct","kid":%q,"alg":%q,"use":"sig","k":%q`, k.kid(), k.alg, b64(k.secret))
	switch k.alg {
	case "dir":
		members = fmt.Sprintf(`"kty":"oct","kid":%q,"alg":"dir","key_ops":["deriveKey"],"k":%q`, k.kid(), b64(k.secret))
	case "EdDSA":
		members = fmt.Sprintf(`"kty":"OKP","crv":"Ed25519","kid":%q,"alg":"EdDSA","use":"sig","x":%q,"d":%q`,
			k.kid(), b64(k.public()), b64(k.secret))
	}
	return fmt.Sprintf(`{%s,"iat":%d,"nbf":%d,"exp":%d}`, members, k.created, k.nbf, k.exp)
}

const foreignKid = "2025-06-primary"

// vectorRings are the key files, by name.
func vectorRings() map[string]string {
	var keys []string
	for _, k := range []vectorKey{keyMAC, keyPending, keyGone, keySeal, keySign} {
		keys = append(keys, k.jwk())
	}
	keys = append(keys, fmt.Sprintf(`{"kty":"oct","kid":%q,"revoked":{"revoked_at":%d,"reason":"leaked"}}`,
		keyRevoked.kid(), vectorNow-50))
	return map[string]string{
		"ring.jwks": "{\"ring\":\"shop\",\"gen\":3,\"keys\":[\n" + strings.Join(keys, ",\n") + "]}\n",
		"foreign.jwks": fmt.Sprintf("{\"keys\":[\n"+
			"{\"kty\":\"oct\",\"kid\":%q,\"alg\":\"HS256\",\"k\":%q},\n"+
			"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"verify_only\",\"alg\":\"EdDSA\",\"x\":%q}]}\n",
			foreignKid, b64(keyMAC.secret), b64(keySign.public())),
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func b64s(s string) string { return b64([]byte(s)) }

func hmac256(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

func head(alg, kid string) string {
	return fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"waybill+jwt"}`, alg, kid)
}

// mac makes a JWS of header and payload, unchanged.
func mac(k vectorKey, header, payload string) string { return macParts(k, b64s(header), b64s(payload)) }

func macParts(k vectorKey, header, payload string) string {
	in := header + "." + payload
	return in + "." + b64(hmac256(k.secret, in))
}

func sign(k vectorKey, header, payload string) string {
	in := b64s(header) + "." + b64s(payload)
	return in + "." + b64(ed25519.Sign(k.private(), []byte(in)))
}

func signed(payload string) string { return mac(keyMAC, head("HS256", keyMAC.kid()), payload) }
func public(payload string) string { return sign(keySign, head("EdDSA", keySign.kid()), payload) }

func sealHead(kid string) string {
	return fmt.Sprintf(`{"alg":"dir","enc":"A256GCM","kid":"%s","typ":"waybill+jwt"}`, kid)
}

func sealed(payload string) string {
	return seal(sealHead(keySeal.kid()+"."+vectorSalt), payload, vectorDomain, vectorSalt)
}

// sealParts makes the parts of a JWE whose content key is expanded from the ring key for a domain
// and a salt.
func sealParts(header, payload, domain, salt string) []string {
	prk := hmac256(make([]byte, sha256.Size), string(keySeal.secret)) // HKDF-Extract without salt
	info := ""
	for _, part := range []string{"waybill/a256gcm/v1", domain, keySeal.kid(), salt} {
		info += string([]byte{byte(len(part) >> 8), byte(len(part))}) + part
	}
	block, err := aes.NewCipher(hmac256(prk, info, "\x01")) // HKDF-Expand to 32 bytes is one block
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	// A real issuer uses a random nonce. Here the nonce is derived from the sealed text, so that
	// the files are stable.
	nonce := hmac256([]byte("nonce"), header, payload)[:12]
	h := b64s(header)
	box := gcm.Seal(nil, nonce, []byte(payload), []byte(h))
	return []string{h, "", b64(nonce), b64(box[:len(payload)]), b64(box[len(payload):])}
}

func seal(header, payload, domain, salt string) string {
	return strings.Join(sealParts(header, payload, domain, salt), ".")
}

// claims returns the usual payload with one part replaced.
func claims(old, new string) string {
	if strings.Count(vectorPayload, old) != 1 {
		panic("the payload has not exactly one " + old)
	}
	return strings.Replace(vectorPayload, old, new, 1)
}

// also returns the usual payload with more appended.
func also(more string) string { return claims(`"seats":2`, `"seats":2,`+more) }

// times returns the usual payload with other times.
func times(iat, exp, end int64) string {
	return begun(iat, iat, exp, end)
}

// begun returns a payload whose journey began at the given second.
func begun(began, iat, exp, end int64) string {
	return fmt.Sprintf(`{"aud":"shop","sid":"%s","iat":%d,"exp":%d,"end":%d}`, sidAt(began), iat, exp, end)
}

// sidAt returns the "sid" of a journey that began at the given second.
func sidAt(began int64) string {
	sid := []byte{0, 0, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	binary.BigEndian.PutUint32(sid, uint32(began))
	return b64(sid)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// stray sets the lowest bit of the last character. Base64url does not use that bit if the length is
// not a multiple of four.
func stray(s string) string {
	i := strings.IndexByte(alphabet, s[len(s)-1])
	if len(s)%4 == 0 || i&1 != 0 {
		panic("no stray bit to set in " + s)
	}
	return s[:len(s)-1] + alphabet[i+1:i+2]
}

// flip changes one significant bit of character i of a part.
func flip(s string, i int) string {
	j := strings.IndexByte(alphabet, s[i]) ^ 0x20
	return s[:i] + alphabet[j:j+1] + s[i+1:]
}

// edit returns the token with one of its parts changed.
func edit(token string, part int, change func(string) string) string {
	parts := strings.Split(token, ".")
	parts[part] = change(parts[part])
	return strings.Join(parts, ".")
}

// fill returns a payload padded so that its length modulo three is rest, which determines how many
// bits of its base64url are unused.
func fill(rest int) string {
	for n := 0; ; n++ {
		if p := also(`"pad":"` + strings.Repeat("x", n) + `"`); len(p)%3 == rest {
			return p
		}
	}
}

// sized returns a public token of exactly n bytes.
func sized(n int) string {
	least := len(public(also(`"pad":""`)))
	for pad := (n - least) * 3 / 4; pad < n; pad++ {
		if t := public(also(`"pad":"` + strings.Repeat("x", pad) + `"`)); len(t) == n {
			return t
		}
	}
	panic(fmt.Sprintf("no payload makes a token of %d bytes", n))
}

type vectorOption func(*vector)

func accept(p ...waybill.Protection) vectorOption { return func(v *vector) { v.accept = p } }

func at(t int64) vectorOption { return func(v *vector) { v.at = t } }

// vectors returns all vectors.
func vectors() []vector {
	const (
		sig  = waybill.Signed
		enc  = waybill.Sealed
		pub  = waybill.Public
		long = 1 << 53
	)
	var all []vector
	add := func(name, comment, expect, cause, token string, opts ...vectorOption) {
		v := vector{
			name: name, comment: comment, expect: expect, cause: cause, token: token,
			domain: vectorDomain, at: vectorNow, accept: protections, leeway: -1, ring: "ring.jwks",
		}
		for _, o := range opts {
			o(&v)
		}
		all = append(all, v)
	}
	ok := func(name, comment, payload, token string, opts ...vectorOption) {
		add(name, comment, "ok", "", token, append(opts, func(v *vector) { v.payload = payload })...)
	}
	bad := add
	leeway := func(s int) vectorOption { return func(v *vector) { v.leeway = s } }
	foreign := func(v *vector) { v.ring, v.foreign = "foreign.jwks", true }
	macKid, sealKid, signKid := keyMAC.kid(), keySeal.kid(), keySign.kid()

	// Accepted tokens.
	ok("ok_signed", "the ordinary signed token", vectorPayload, signed(vectorPayload), accept(sig))
	ok("ok_sealed", "the ordinary sealed token", vectorPayload, sealed(vectorPayload), accept(enc))
	ok("ok_public", "the ordinary public token", vectorPayload, public(vectorPayload), accept(pub))
	ok("ok_public_rfc9864", "alg Ed25519 (RFC 9864) for the same key", vectorPayload,
		sign(keySign, head("Ed25519", signKid), vectorPayload))
	ok("ok_header_order_signed", "header members in another order", vectorPayload,
		mac(keyMAC, `{"typ":"waybill+jwt","kid":"`+macKid+`","alg":"HS256"}`, vectorPayload))
	ok("ok_header_order_sealed", "header members in another order", vectorPayload,
		seal(`{"typ":"waybill+jwt","kid":"`+sealKid+"."+vectorSalt+`","enc":"A256GCM","alg":"dir"}`, vectorPayload, vectorDomain, vectorSalt))
	ok("ok_header_order_public", "header members in another order", vectorPayload,
		sign(keySign, `{"alg":"EdDSA","typ":"waybill+jwt","kid":"`+signKid+`"}`, vectorPayload))
	{
		p := `{"seats":2,"end":1750043200,"exp":1750000600,"cell":"eu-3","iat":1749999700,"sid":"` + vectorSID + `","aud":"shop"}`
		ok("ok_claims_order", "claims in another order", p, signed(p))
		p = claims(`"aud":"shop"`, `"aud":["shop"]`)
		ok("ok_aud_list", "an aud list of one, as some libraries write it", p, signed(p))
		ok("ok_aud_list_sealed", "an aud list of one, as some libraries write it", p, sealed(p))
		p = claims(`"aud":"shop"`, `"aud":"\u0073hop"`)
		ok("ok_aud_escaped", "aud written with an escape", p, signed(p))
		p = also(`"iss":"edge \"1\"","sub":"u-7","nbf":1749999700,"bas":"AAECAwQFBgcICQoLDA0ODw","jti":"x"`)
		ok("ok_optional", "every optional registered claim", p, signed(p))
		p = also(`"s":"a\\\"\/\b\f\n\r\té😀\uD83D\ude00","n":[-0,0.5,1e9,-1.25E-7,null,true,false,[],{}],"o":{"a":{"a":{"a":1}}},"ключ":"знач"`)
		ok("ok_values", "all that JSON can say", p, signed(p))
		p = also(`"deep":` + strings.Repeat("[", 31) + strings.Repeat("]", 31))
		ok("ok_nested", "nested as deeply as accepted: 32 levels with the payload itself", p, signed(p))
	}
	for n := range 3 {
		p := fill(n)
		ok(fmt.Sprintf("ok_signed_mod%d", n), "each remainder of base64", p, signed(p))
		ok(fmt.Sprintf("ok_sealed_mod%d", n), "each remainder of base64", p, sealed(p))
	}
	ok("ok_pending_key", "a key whose time to issue has not come opens all the same", vectorPayload,
		mac(keyPending, head("HS256", keyPending.kid()), vectorPayload))
	ok("ok_gone_key_leeway", "a key that ended within the leeway", times(vectorNow-400, vectorNow-100, vectorEnd),
		mac(keyGone, head("HS256", keyGone.kid()), times(vectorNow-400, vectorNow-100, vectorEnd)), at(vectorNow-91))
	ok("ok_foreign_signed", "the kid of other software", vectorPayload,
		mac(keyMAC, head("HS256", foreignKid), vectorPayload), foreign)
	ok("ok_foreign_public", "the public key of other software", vectorPayload,
		sign(keySign, head("EdDSA", "verify_only"), vectorPayload), foreign)
	ok("ok_at_limit", "as long as accepted by default", decoded(sized(3584)), sized(3584))
	for _, l := range []int{0, 10, 60} {
		p := times(vectorIat, vectorExp, vectorEnd)
		ok(fmt.Sprintf("ok_exp_leeway_%d", l), "the last second of the leeway", p, signed(p),
			at(vectorExp+int64(l)-1), leeway(l))
		bad(fmt.Sprintf("expired_leeway_%d", l), "one second later", "expired", "", signed(p),
			at(vectorExp+int64(l)), leeway(l))
		ok(fmt.Sprintf("ok_iat_leeway_%d", l), "issued by a clock that is fast by the leeway", p, signed(p),
			at(vectorIat-int64(l)), leeway(l))
		bad(fmt.Sprintf("iat_future_leeway_%d", l), "one second more", "not_yet_valid", "", signed(p),
			at(vectorIat-int64(l)-1), leeway(l))
	}
	// The begin of the journey, in the sid.
	maxJourney := func(s int) vectorOption { return func(v *vector) { v.maxJourney = s } }
	for _, l := range []int{0, 10, 60} {
		p := begun(vectorIat+int64(l), vectorIat, vectorExp, vectorEnd)
		ok(fmt.Sprintf("ok_begin_leeway_%d", l), "begun on a clock that is fast by the leeway", p, signed(p), leeway(l))
		p = begun(vectorIat+int64(l)+1, vectorIat, vectorExp, vectorEnd)
		bad(fmt.Sprintf("begin_ahead_leeway_%d", l), "one second more", "lifetime", "begins after iat", signed(p), leeway(l))
	}
	{
		p := begun(math.MaxUint32, vectorIat, vectorExp, vectorEnd)
		bad("begin_last", "the last begin that a sid can have", "lifetime", "begins after iat", signed(p))
		p = begun(0, vectorIat, vectorExp, vectorEnd)
		bad("begin_1970", "the first begin that a sid can have", "lifetime", "after the begin", signed(p))
		p = begun(vectorEnd-86400, vectorIat, vectorExp, vectorEnd)
		ok("ok_journey_max", "the longest accepted journey", p, signed(p))
		p = begun(vectorEnd-86401, vectorIat, vectorExp, vectorEnd)
		bad("journey_long", "a journey one second over the maximum", "lifetime", "after the begin", signed(p))
		ok("ok_journey_max_set", "the same under a longer maximum", p, signed(p), maxJourney(86401))
		p = begun(vectorIat, vectorIat, vectorExp, vectorIat+3600)
		ok("ok_journey_max_short", "the longest journey under a shorter maximum", p, signed(p), maxJourney(3600))
		p = begun(vectorIat, vectorIat, vectorExp, vectorIat+3601)
		bad("journey_long_short", "one second over a shorter maximum", "lifetime", "after the begin", signed(p), maxJourney(3600))
		bad("journey_long_sealed", "the same, sealed", "lifetime", "after the begin", sealed(p), maxJourney(3600))
		bad("journey_long_public", "the same, public", "lifetime", "after the begin", public(p), maxJourney(3600))
	}

	// The claims that an edge writes.
	edge := func(name, comment, more string) {
		p := also(more)
		ok("ok_"+name, comment, p, signed(p))
	}
	const every = `"rev":41,"has":"aB3_-xyz01234567","was":{"tags":[["a","b"]],"seats":[]},"upd":{"cell":41,"lang":7},"sup":3`
	edge("edge", "every claim of an edge", every)
	ok("ok_edge_sealed", "every claim of an edge", also(every), sealed(also(every)))
	ok("ok_edge_public", "every claim of an edge", also(every), public(also(every)))
	edge("rev_least", "an empty journey", `"rev":0,"upd":{},"sup":2`)
	edge("rev_most", "the greatest rev", `"rev":9007199254740991,"upd":{"a":9007199254740991}`)
	edge("has_least", "one name", `"has":"aB3_-xyz"`)
	edge("has_most", "192 names", `"has":"`+strings.Repeat("aB3_-xyz", 192)+`"`)
	edge("was_empty", "no claim with a rule", `"was":{}`)
	edge("was_values", "all that JSON can say, as old values",
		`"was":{"a":[],"b":[null],"c":[[]],"d":[[1,2]],"e":[{"x":[1,"]"],"y":"}"}],"f":["\"],["],"g":[-1.5e3],"ключ":[true]}`)
	edge("was_nested", "an old value nested as deeply as accepted", `"was":{"a":`+strings.Repeat("[", 30)+strings.Repeat("]", 30)+`}`)
	edge("upd_rev_absent", "rev is 1 if absent", `"upd":{"a":1}`)
	edge("upd_before_rev", "upd in front of rev", `"upd":{"a":7,"b":1},"rev":7`)
	edge("sup_least", "the least sup", `"sup":0`)
	edge("sup_most", "the greatest sup", `"sup":1099511627776`)

	{
		p := also(`"nbf":1750000100`)
		ok("ok_nbf_leeway", "the first second of nbf less the leeway", p, signed(p), at(1750000090))
		bad("nbf_future", "one second before", "not_yet_valid", "", signed(p), at(1750000089))
		p = times(vectorIat, vectorExp, vectorExp)
		ok("ok_exp_is_end", "a token that ends with its journey", p, signed(p))
		p = times(vectorIat, vectorIat+3600, vectorEnd)
		ok("ok_life_max", "the longest accepted life", p, signed(p))
		p = times(1, 2, 2)
		ok("ok_times_least", "the first second of 1970", p, signed(p), at(1))
	}

	// Header: each member missing, wrong, doubled, and members outside the profile.
	header := func(name, comment, expect, cause, header string) {
		bad("header_"+name, comment, expect, cause, mac(keyMAC, header, vectorPayload))
	}
	mal := "malformed"
	header("no_typ", "typ missing", mal, "header has no typ", `{"alg":"HS256","kid":"`+macKid+`"}`)
	header("typ_jwt", "typ of an ordinary JWT", mal, "typ is not", `{"alg":"HS256","kid":"`+macKid+`","typ":"JWT"}`)
	header("typ_case", "typ in capitals", mal, "typ is not", `{"alg":"HS256","kid":"`+macKid+`","typ":"WAYBILL+JWT"}`)
	header("typ_application", "typ with its prefix", mal, "typ is not", `{"alg":"HS256","kid":"`+macKid+`","typ":"application/waybill+jwt"}`)
	header("no_alg", "alg missing", mal, "header has no alg", `{"kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("alg_number", "alg of the wrong type", mal, "not a plain string", `{"alg":256,"kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("alg_escaped", "alg with an escape", mal, "not a plain string", `{"alg":"HS25\u0036","kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("alg_case", "alg in small letters", "algorithm", "alg is not", head("hs256", macKid))
	header("alg_hs512", "another HMAC", "algorithm", "alg is not", head("HS512", macKid))
	header("alg_rs256", "RSA", "algorithm", "alg is not", head("RS256", macKid))
	header("alg_eddsa", "EdDSA for an HMAC key", "algorithm", "not the key's", head("EdDSA", macKid))
	header("no_kid", "kid missing", mal, "header has no kid", `{"alg":"HS256","typ":"waybill+jwt"}`)
	header("kid_empty", "kid empty", mal, "kid is not 1 to 64", head("HS256", ""))
	header("kid_long", "kid of 65 characters", mal, "kid is not 1 to 64", head("HS256", strings.Repeat("k", 65)))
	header("kid_path", "kid that is a path", mal, "kid is not 1 to 64", head("HS256", "../../etc/passwd"))
	header("kid_salted", "kid of a sealed token in a signed one", mal, "kid is not 1 to 64", head("HS256", macKid+"."+vectorSalt))
	header("kid_number", "kid of the wrong type", mal, "not a plain string", `{"alg":"HS256","kid":7,"typ":"waybill+jwt"}`)
	header("kid_unknown", "kid of no key", "unknown_key", "", head("HS256", "AAAAAAAAAAA"))
	header("alg_twice", "alg doubled", mal, "stands twice", `{"alg":"HS256","alg":"HS256","kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("kid_twice", "kid doubled", mal, "stands twice", `{"alg":"HS256","kid":"`+macKid+`","kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("kid_twice_escaped", "kid doubled, once with an escape", mal, "stands twice",
		`{"alg":"HS256","kid":"`+macKid+`","\u006bid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("kid_escaped_name", "a member's name with an escape", mal, "outside the profile",
		`{"alg":"HS256","\u006bid":"`+macKid+`","typ":"waybill+jwt"}`)
	for _, m := range []struct{ name, member string }{
		{"crit", `"crit":["b64"],"b64":true`},
		{"crit_alone", `"crit":[]`},
		{"zip", `"zip":"DEF"`},
		{"jwk", `"jwk":{"kty":"oct","k":"AA"}`},
		{"jku", `"jku":"https://keys.example/"`},
		{"x5c", `"x5c":["AA"]`},
		{"cty", `"cty":"JWT"`},
		{"unknown", `"x":"y"`},
	} {
		cause := "outside the profile"
		if strings.ContainsAny(m.member, "[{") {
			cause = "not a plain string"
		}
		header(m.name, "a header member outside the profile", mal, cause,
			`{"alg":"HS256","kid":"`+macKid+`","typ":"waybill+jwt",`+m.member+`}`)
	}
	header("enc", "enc in a signed token", mal, "enc in the header", `{"alg":"HS256","enc":"A256GCM","kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("enc_empty", "an empty enc in a signed token", mal, "enc in the header", `{"alg":"HS256","enc":"","kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("space", "white space", mal, "not strict JSON", `{"alg":"HS256", "kid":"`+macKid+`","typ":"waybill+jwt"}`)
	header("behind", "something behind the object", mal, "not strict JSON", head("HS256", macKid)+`{}`)
	header("bom", "a byte order mark", mal, "not strict JSON", "\ufeff"+head("HS256", macKid))
	header("list", "no object", mal, "not strict JSON", `["HS256","`+macKid+`"]`)
	header("empty", "an empty object", mal, "header has no typ", `{}`)
	header("nothing", "an empty header", mal, "not strict JSON", ``)
	header("long", "a header longer than any of the profile", mal, "header too long", head("HS256", strings.Repeat("k", 200)))
	header("utf8", "invalid UTF-8", mal, "not strict JSON", head("HS256", macKid+"\xff")[:40]+"\xff\"}")

	// Algorithms of other keys.
	bad("alg_none", "alg none without a signature", "algorithm", "alg is not", b64s(head("none", macKid))+"."+b64s(vectorPayload)+".")
	bad("alg_none_mac", "alg none with a good MAC", "algorithm", "alg is not", mac(keyMAC, head("none", macKid), vectorPayload))
	bad("alg_hs256_public_key", "HMAC under the bytes of the public key", "algorithm", "not the key's",
		mac(vectorKey{secret: keySign.public()}, head("HS256", signKid), vectorPayload))
	bad("alg_hs256_dir_key", "HMAC under the key that only derives", "algorithm", "not the key's",
		mac(keySeal, head("HS256", sealKid), vectorPayload))
	bad("alg_eddsa_other", "Ed25519 in the name of an HMAC key", "algorithm", "not the key's",
		sign(keySign, head("EdDSA", macKid), vectorPayload))
	bad("alg_dir_mac_key", "sealed in the name of an HMAC key", "algorithm", "not the key's",
		seal(sealHead(macKid+"."+vectorSalt), vectorPayload, vectorDomain, vectorSalt))
	bad("alg_a128gcm", "another enc", "algorithm", "enc is not A256GCM",
		seal(`{"alg":"dir","enc":"A128GCM","kid":"`+sealKid+"."+vectorSalt+`","typ":"waybill+jwt"}`, vectorPayload, vectorDomain, vectorSalt))
	bad("alg_no_enc", "enc missing", "algorithm", "enc is not A256GCM",
		seal(`{"alg":"dir","kid":"`+sealKid+"."+vectorSalt+`","typ":"waybill+jwt"}`, vectorPayload, vectorDomain, vectorSalt))
	bad("alg_a256kw", "key wrapping", "algorithm", "alg is not",
		seal(`{"alg":"A256KW","enc":"A256GCM","kid":"`+sealKid+"."+vectorSalt+`","typ":"waybill+jwt"}`, vectorPayload, vectorDomain, vectorSalt))
	bad("alg_dir_three_parts", "alg dir in a JWS", mal, "alg dir in a token of three parts",
		mac(keySeal, sealHead(sealKid+"."+vectorSalt), vectorPayload))
	bad("alg_hs256_five_parts", "alg HS256 in a JWE", mal, "a signature algorithm in a token of five parts",
		seal(head("HS256", macKid), vectorPayload, vectorDomain, vectorSalt))

	// Claims: each registered one missing and wrong.
	payload := func(name, comment, expect, cause, payload string) {
		bad("claims_"+name, comment, expect, cause, signed(payload))
	}
	payload("no_aud", "aud missing", mal, "no aud", claims(`"aud":"shop",`, ``))
	payload("no_sid", "sid missing", mal, "no sid", claims(`"sid":"`+vectorSID+`",`, ``))
	payload("no_iat", "iat missing", mal, "no iat", claims(`"iat":1749999700,`, ``))
	payload("no_exp", "exp missing", mal, "no exp", claims(`"exp":1750000600,`, ``))
	payload("no_end", "end missing", mal, "no end", claims(`"end":1750043200,`, ``))
	payload("aud_other", "another domain", "audience", "another audience", claims(`"aud":"shop"`, `"aud":"bank"`))
	payload("aud_prefix", "a longer domain", "audience", "another audience", claims(`"aud":"shop"`, `"aud":"shop.example"`))
	payload("aud_case", "the domain in capitals", "audience", "another audience", claims(`"aud":"shop"`, `"aud":"SHOP"`))
	payload("aud_two", "two audiences", "audience", "exactly one", claims(`"aud":"shop"`, `"aud":["shop","bank"]`))
	payload("aud_same_twice", "the same audience twice", "audience", "exactly one", claims(`"aud":"shop"`, `"aud":["shop","shop"]`))
	payload("aud_none", "an empty list", "audience", "exactly one", claims(`"aud":"shop"`, `"aud":[]`))
	payload("aud_null_list", "a list of null", "audience", "another audience", claims(`"aud":"shop"`, `"aud":[null]`))
	payload("aud_nested", "a list in a list", "audience", "exactly one", claims(`"aud":"shop"`, `"aud":[["shop"]]`))
	payload("aud_number", "aud of the wrong type", mal, "claim aud", claims(`"aud":"shop"`, `"aud":1`))
	payload("aud_null", "aud null", mal, "claim aud", claims(`"aud":"shop"`, `"aud":null`))
	cut := vectorSID[:21]
	for i, sid := range []string{`""`, `"` + cut + `"`, `"` + vectorSID + `0"`, `"` + stray(vectorSID) + `"`,
		`"` + cut + `="`, `"` + cut + `+"`, `7`, `null`, `"\u0061` + vectorSID[1:] + `"`} {
		payload(fmt.Sprintf("sid_%d", i), "sid is not 16 bytes in canonical base64url: "+sid, mal, "claim sid",
			claims(`"sid":"`+vectorSID+`"`, `"sid":`+sid))
	}
	payload("bas", "bas with stray bits", mal, "claim bas", also(`"bas":"AAECAwQFBgcICQoLDA0ODx"`))
	payload("iss", "iss of the wrong type", mal, "claim iss", also(`"iss":1`))
	payload("sub", "sub of the wrong type", mal, "claim sub", also(`"sub":["u"]`))
	for i, n := range []string{`"1750000600"`, `1750000600.0`, `1.7500006e9`, `-1750000600`, `0`, `9007199254740992`,
		`99999999999999999999`, `null`, `true`, `[1750000600]`} {
		for _, c := range []string{"exp", "iat", "end"} {
			old := map[string]string{"exp": `"exp":1750000600`, "iat": `"iat":1749999700`, "end": `"end":1750043200`}[c]
			payload(fmt.Sprintf("%s_%d", c, i), c+" is not a positive whole number below 2^53: "+n, mal, "claim "+c,
				claims(old, `"`+c+`":`+n))
		}
	}
	edgeBad := func(name, comment, cause string, more ...string) {
		for i, m := range more {
			payload(fmt.Sprintf("%s_%d", name, i), comment, mal, cause, also(m))
		}
	}
	edgeBad("rev", "rev is not a whole number below 2^53", "claim rev",
		`"rev":9007199254740992`, `"rev":-1`, `"rev":-0`, `"rev":1.0`, `"rev":1e3`, `"rev":"1"`, `"rev":null`, `"rev":[1]`,
		`"rev":99999999999999999999999`)
	edgeBad("sup", "sup is not a whole number up to 2^40", "claim sup",
		`"sup":1099511627777`, `"sup":-1`, `"sup":0.0`, `"sup":1e2`, `"sup":"3"`, `"sup":null`, `"sup":{}`)
	edgeBad("has", "has is not 1 to 192 names of 8 characters of base64url", "claim has",
		`"has":""`, `"has":"aB3_-xy"`, `"has":"aB3_-xyz0"`, `"has":"aB3_-xy="`, `"has":"aB3_-xy+"`, `"has":"aB3_-xy "`,
		`"has":"aB3_-xé"`, `"has":"aB3_-xy\u0041"`, `"has":"`+strings.Repeat("aB3_-xyz", 193)+`"`,
		`"has":["aB3_-xyz"]`, `"has":7`, `"has":null`)
	edgeBad("was", "was is not an object of arrays with at most one element", "claim was",
		`"was":{"a":[1,2]}`, `"was":{"a":[],"b":[[],[]]}`, `"was":{"a":[{},1]}`, `"was":{"a":["x","y"]}`, `"was":{"a":1}`,
		`"was":{"a":{}}`, `"was":{"a":"[]"}`, `"was":{"a":null}`, `"was":[]`, `"was":"{}"`, `"was":null`)
	edgeBad("upd", "upd is not an object of whole numbers above zero", "claim upd",
		`"rev":7,"upd":{"a":0}`, `"rev":7,"upd":{"a":-1}`, `"rev":7,"upd":{"a":1.0}`, `"rev":7,"upd":{"a":"1"}`,
		`"rev":7,"upd":{"a":[1]}`, `"rev":7,"upd":{"a":null}`, `"rev":7,"upd":["a"]`, `"rev":7,"upd":7`, `"rev":7,"upd":null`)
	edgeBad("upd_over_rev", "a value in upd is greater than rev", "above rev",
		`"rev":7,"upd":{"b":1,"a":8}`, `"upd":{"a":8,"b":1},"rev":7`, `"upd":{"a":2}`, `"rev":0,"upd":{"a":1}`)
	edgeBad("was_name_escaped", "a name in was with an escape", "claim was", `"was":{"\u0061":[1]}`, `"was":{"a":[1],"b\"":[1]}`)
	edgeBad("upd_name_escaped", "a name in upd with an escape", "claim upd", `"upd":{"\u0061":1}`, `"upd":{"a":1,"b\/":1}`)
	edgeBad("edge_twice", "a name twice", "stands twice", `"was":{"a":[1],"a":[1]}`, `"upd":{"a":1,"a":1}`, `"rev":1,"rev":1`, `"sup":0,"sup":0`)
	payload("was_deep", "an old value nested one level too deep", mal, "nested too deeply",
		also(`"was":{"a":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`))
	payload("nbf", "nbf of the wrong type", mal, "claim nbf", also(`"nbf":"1749999700"`))
	payload("exp_behind_end", "exp behind end", "lifetime", "exp is after end", times(vectorIat, vectorExp, vectorExp-1))
	payload("exp_is_iat", "no life at all", "lifetime", "", times(vectorIat, vectorIat, vectorEnd))
	payload("exp_before_iat", "exp before iat", "lifetime", "", times(vectorIat, vectorIat-1, vectorEnd))
	payload("life", "a life one second over the maximum", "lifetime", "", times(vectorIat, vectorIat+3601, vectorEnd))
	payload("end_most", "the last second that JSON keeps exactly: well formed, and too late for every journey", "lifetime",
		"after the begin of the journey", claims(`"end":1750043200`, `"end":9007199254740991`))
	payload("life_wrap", "a life that would wrap around", "lifetime", "", times(1, long-1, long-1))

	// Claims: JSON that is not strict.
	payload("twice", "a claim twice", mal, "stands twice", also(`"cell":"us-1"`))
	payload("twice_registered", "exp twice", mal, "stands twice", also(`"exp":1750000600`))
	payload("twice_escaped", "a claim twice, once with an escape", mal, "stands twice", also(`"c\u0065ll":"us-1"`))
	payload("twice_escaped_first", "the same, the escape first", mal, "stands twice", claims(`"cell":"eu-3"`, `"c\u0065ll":"us-1","cell":"eu-3"`))
	payload("twice_nested", "a member twice in an object inside", mal, "stands twice", also(`"o":{"a":1,"b":2,"a":1}`))
	payload("twice_nested_escaped", "the same with an escape", mal, "stands twice", also(`"o":[{"/":1,"\/":2}]`))
	payload("name_escaped", "a claim name with an escape", mal, "written with an escape", also(`"pl\u0061ce":1`))
	payload("space", "white space between claims", mal, "not strict JSON", also(` "x":1`))
	payload("space_behind", "white space behind", mal, "not strict JSON", vectorPayload+" ")
	payload("newline", "a line break", mal, "not strict JSON", vectorPayload+"\n")
	payload("behind", "a second object", mal, "not strict JSON", vectorPayload+"{}")
	payload("open", "an object without end", mal, "not strict JSON", strings.TrimSuffix(vectorPayload, "}"))
	payload("comma", "a comma too many", mal, "not strict JSON", claims(`"seats":2`, `"seats":2,`))
	payload("list", "no object", mal, "not strict JSON", `[1]`)
	payload("null", "null", mal, "not strict JSON", `null`)
	payload("nothing", "no payload", mal, "not strict JSON", ``)
	payload("utf8", "invalid UTF-8", mal, "not strict JSON", also("\"x\":\"\xff\""))
	payload("utf8_overlong", "an overlong slash", mal, "not strict JSON", also("\"x\":\"\xc0\xaf\""))
	payload("utf8_surrogate", "a surrogate in UTF-8", mal, "not strict JSON", also("\"x\":\"\xed\xa0\x80\""))
	payload("utf8_name", "invalid UTF-8 in a name", mal, "not strict JSON", also("\"\xfe\":1"))
	payload("utf8_cut", "a character cut in two", mal, "not strict JSON", also("\"x\":\"\xe2\x82\""))
	payload("surrogate_high", "a high surrogate alone", mal, "not strict JSON", also(`"x":"\ud83d"`))
	payload("surrogate_low", "a low surrogate alone", mal, "not strict JSON", also(`"x":"\ude00"`))
	payload("surrogate_swapped", "a pair the wrong way round", mal, "not strict JSON", also(`"x":"\ude00\ud83d"`))
	payload("surrogate_text", "a high surrogate and text", mal, "not strict JSON", also(`"x":"\ud83dx"`))
	payload("surrogate_high_high", "two high surrogates", mal, "not strict JSON", also(`"x":"\ud83d\ud83d"`))
	payload("control", "a control character", mal, "not strict JSON", also("\"x\":\"\x01\""))
	payload("escape", "an escape that JSON does not have", mal, "not strict JSON", also(`"x":"\x41"`))
	payload("escape_cut", "an escape cut short", mal, "not strict JSON", also(`"x":"\u00"`))
	for i, n := range []string{`01`, `+1`, `.5`, `1.`, `1e`, `1e+`, `-`, `0x1`, `NaN`, `Infinity`, `tru`, `nul`, `'a'`} {
		payload(fmt.Sprintf("value_%d", i), "no JSON value: "+n, mal, "not strict JSON", also(`"x":`+n))
	}
	payload("deep", "nested one level too deep", mal, "nested too deeply", also(`"x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)))
	payload("deep_objects", "nested one level too deep", mal, "nested too deeply",
		also(`"x":`+strings.Repeat(`{"a":`, 32)+"1"+strings.Repeat("}", 32)))
	{
		var many strings.Builder
		for i := range 251 {
			fmt.Fprintf(&many, `,"%02x":0`, i+16)
		}
		payload("many", "more than 256 claims", mal, "too many members", claims(`,"seats":2`, many.String()))
	}

	// Base64 that is not canonical, and text around it.
	good := signed(vectorPayload)
	goodSealed := sealed(fill(1))
	bad("base64_pad_header", "padding", mal, "header is not canonical", edit(good, 0, func(s string) string { return s + "==" }))
	bad("base64_pad_payload", "padding, under a good MAC", mal, "not canonical", macParts(keyMAC, b64s(head("HS256", macKid)), b64s(fill(1))+"=="))
	bad("base64_pad_signature", "padding", mal, "wrong length", good+"=")
	bad("base64_std_signature", "the alphabet with + and /", mal, "not canonical", edit(good, 2, func(s string) string { return "+/" + s[2:] }))
	bad("base64_stray_header", "stray bits, under a good MAC", mal, "header is not canonical",
		macParts(keyMAC, stray(b64s(head("HS256", macKid))), b64s(vectorPayload)))
	bad("base64_stray_payload", "stray bits, under a good MAC", mal, "not canonical",
		macParts(keyMAC, b64s(head("HS256", macKid)), stray(b64s(fill(1)))))
	bad("base64_stray_signature", "stray bits", mal, "not canonical", edit(good, 2, stray))
	bad("base64_stray_ed25519", "stray bits", mal, "not canonical", edit(public(vectorPayload), 2, stray))
	bad("base64_stray_ciphertext", "stray bits", mal, "not canonical", edit(goodSealed, 3, stray))
	bad("base64_stray_tag", "stray bits", mal, "not canonical", edit(goodSealed, 4, stray))
	bad("base64_std_nonce", "the alphabet with + and /", mal, "not canonical", edit(goodSealed, 2, func(s string) string { return s[:14] + "+/" }))
	bad("space_before", "white space in front", mal, "header is not canonical", " "+good)
	bad("space_behind", "white space behind", mal, "wrong length", good+" ")
	bad("newline_behind", "a line break behind", mal, "line break", good+"\n")
	bad("newline_header", "a line break that base64 decoders skip", mal, "line break", good[:8]+"\n"+good[8:])
	bad("newline_signature", "a carriage return that base64 decoders skip", mal, "line break", good[:len(good)-4]+"\r"+good[len(good)-4:])
	bad("newline_tag", "a line break that base64 decoders skip", mal, "line break", goodSealed[:len(goodSealed)-4]+"\n"+goodSealed[len(goodSealed)-4:])
	bad("null_byte", "a null byte behind", mal, "wrong length", good+"\x00")
	bad("bearer", "a scheme in front", mal, "header is not canonical", "Bearer "+good)
	bad("two_tokens", "two tokens by a comma", mal, "more than five parts", good+","+good+","+good)

	// Parts cut, added, swapped and with a bit changed.
	names := []string{"header", "payload", "signature"}
	for i, name := range names {
		cut := map[string]string{"header": "not canonical", "signature": "wrong length"}[name]
		expect := mal
		if name == "payload" {
			expect = "forged"
		}
		bad("cut_"+name, "the last character cut off", expect, cut, edit(good, i, func(s string) string { return s[:len(s)-1] }))
		bad("gone_"+name, "the part emptied", expect, "", edit(good, i, func(string) string { return "" }))
		if name != "header" {
			bad("flip_"+name, "one bit changed", "forged", "", edit(good, i, func(s string) string { return flip(s, 9) }))
			bad("flip_public_"+name, "one bit changed", "forged", "", edit(public(vectorPayload), i, func(s string) string { return flip(s, 9) }))
		}
	}
	bad("flip_header", "one bit of the kid changed", "unknown_key", "", edit(good, 0, func(s string) string { return flip(s, 31) }))
	bad("flip_header_alg", "one bit of the alg changed", "algorithm", "", edit(good, 0, func(s string) string { return flip(s, 11) }))
	bad("header_reordered", "the header spelled in another way, the MAC left", "forged", "",
		edit(good, 0, func(string) string { return b64s(`{"typ":"waybill+jwt","kid":"` + macKid + `","alg":"HS256"}`) }))
	for i, name := range []string{"header", "key", "nonce", "ciphertext", "tag"} {
		if name == "key" {
			continue
		}
		expect, cause := "forged", ""
		if name != "ciphertext" {
			expect, cause = mal, "wrong length"
		}
		if name == "header" {
			cause = "not strict JSON"
		}
		bad("cut_sealed_"+name, "the first four characters cut off", expect, cause, edit(goodSealed, i, func(s string) string { return s[4:] }))
		if name != "header" {
			bad("flip_sealed_"+name, "one bit changed", "forged", "", edit(goodSealed, i, func(s string) string { return flip(s, 3) }))
		}
	}
	bad("flip_sealed_salt", "one bit of the salt changed", "forged", "",
		edit(goodSealed, 0, func(string) string { return b64s(sealHead(sealKid + ".A" + vectorSalt[1:])) }))
	bad("swap_sealed_tag", "the tag of another token", "forged", "",
		edit(goodSealed, 4, func(string) string {
			return sealParts(sealHead(sealKid+"."+vectorSalt), vectorPayload, vectorDomain, vectorSalt)[4]
		}))
	bad("swap_payload", "the payload of another token", "forged", "", edit(good, 1, func(string) string { return b64s(also(`"admin":true`)) }))
	bad("extended", "a character behind", mal, "wrong length", good+"A")
	bad("extended_part", "a part behind", mal, "not a compact", good+".")
	bad("extended_six", "six parts", mal, "more than five parts", goodSealed+".")
	bad("parts_one", "no dots", mal, "not a compact", "waybill")
	bad("parts_two", "two parts", mal, "not a compact", strings.Join(strings.Split(good, ".")[:2], "."))
	bad("parts_empty_three", "three empty parts", mal, "not strict JSON", "..")
	bad("parts_empty_five", "five empty parts", mal, "not strict JSON", "....")
	bad("parts_four", "a sealed token without its tag", mal, "not a compact", strings.Join(strings.Split(goodSealed, ".")[:4], "."))
	bad("json_serialisation", "the JSON form of a JWS", mal, "not a compact",
		`{"payload":"`+b64s(vectorPayload)+`","protected":"`+b64s(head("HS256", macKid))+`","signature":"AA"}`)

	// Keys.
	bad("key_other", "a key that is not in the ring, under its own name", "unknown_key", "", mac(keyOther, head("HS256", keyOther.kid()), vectorPayload))
	bad("key_forged", "a key that is not in the ring, under the name of one that is", "forged", "", mac(keyOther, head("HS256", macKid), vectorPayload))
	bad("key_forged_public", "another Ed25519 key under the name of one that is in the ring", "forged", "",
		sign(testKey("EdDSA", "attacker", 1, 1, 2), head("EdDSA", signKid), vectorPayload))
	bad("key_swapped", "the MAC of another key of the same ring", "forged", "", mac(keyPending, head("HS256", macKid), vectorPayload))
	bad("key_revoked", "a revoked key", "revoked", "", mac(keyRevoked, head("HS256", keyRevoked.kid()), vectorPayload))
	bad("key_gone", "a key that has ended, though the token would still live", "unknown_key", "",
		mac(keyGone, head("HS256", keyGone.kid()), vectorPayload))
	bad("key_foreign_kid", "a key of our own under the name that other software gave it", "unknown_key", "",
		mac(keyMAC, head("HS256", foreignKid), vectorPayload))

	// Protections.
	for _, p := range []struct {
		name, token string
		not         []waybill.Protection
	}{
		{"signed", good, []waybill.Protection{enc, pub}},
		{"sealed", goodSealed, []waybill.Protection{sig, pub}},
		{"public", public(vectorPayload), []waybill.Protection{sig, enc}},
	} {
		bad("protection_"+p.name, "a good token of a protection that is not accepted", "protection", "", p.token, accept(p.not...))
	}

	// Sealed tokens: salt, encrypted key, domain.
	salted := func(name, comment, kid string) {
		bad("salt_"+name, comment, mal, "salt", seal(sealHead(kid), vectorPayload, vectorDomain, vectorSalt))
	}
	salted("none", "the ring key itself would seal", sealKid)
	salted("empty", "a salt of no characters", sealKid+".")
	salted("short", "a salt of 15 bytes", sealKid+"."+vectorSalt[:20])
	salted("cut", "a salt of 21 characters", sealKid+"."+vectorSalt[:21])
	salted("long", "a salt of 17 bytes", sealKid+"."+vectorSalt+"A")
	salted("stray", "a salt with stray bits", sealKid+"."+stray(vectorSalt))
	salted("alphabet", "a salt with a character outside of base64url", sealKid+".+"+vectorSalt[1:])
	salted("two", "two salts", sealKid+"."+vectorSalt+"."+vectorSalt)
	bad("salt_no_kid", "a salt and no kid", mal, "kid is not 1 to 64", seal(sealHead("."+vectorSalt), vectorPayload, vectorDomain, vectorSalt))
	bad("salt_other", "sealed under another salt than the header says", "forged", "",
		seal(sealHead(sealKid+"."+vectorSalt), vectorPayload, vectorDomain, "AAECAwQFBgcICQoLDA0ODw"))
	bad("sealed_key", "an encrypted key, which dir does not have", mal, "that part is not empty",
		edit(goodSealed, 1, func(string) string { return "AAAA" }))
	bad("sealed_domain", "sealed for another domain, addressed to this one", "forged", "",
		seal(sealHead(sealKid+"."+vectorSalt), vectorPayload, "bank", vectorSalt))
	bad("sealed_audience", "sealed for this domain, addressed to another", "audience", "another audience",
		sealed(claims(`"aud":"shop"`, `"aud":"bank"`)))
	bad("sealed_plain", "sealed under the ring key itself, salt or not", "forged", "", sealPlain())
	bad("sealed_header_space", "white space in the header of a sealed token", mal, "not strict JSON",
		seal(sealHead(sealKid+"."+vectorSalt)+" ", vectorPayload, vectorDomain, vectorSalt))
	bad("sealed_zip", "zip in a sealed token", mal, "outside the profile",
		seal(`{"alg":"dir","enc":"A256GCM","kid":"`+sealKid+"."+vectorSalt+`","typ":"waybill+jwt","zip":"DEF"}`, vectorPayload, vectorDomain, vectorSalt))

	// Size, which is checked before anything is parsed.
	limit := func(n int) vectorOption { return func(v *vector) { v.limit = n } }
	bad("too_large", "a good token one byte over the limit", "too_large", "", sized(3585))
	bad("too_large_garbage", "garbage one byte over the limit", "too_large", "", strings.Repeat("!", 3585))
	bad("too_large_dots", "dots", "too_large", "", strings.Repeat(".", 3585))
	bad("too_large_set", "over a limit that was set", "too_large", "", sized(2049), limit(2048))
	ok("ok_at_limit_set", "at a limit that was set", decoded(sized(2048)), sized(2048), limit(2048))
	ok("ok_at_limit_most", "at the highest limit there is", decoded(sized(7168)), sized(7168), limit(7168))
	bad("too_large_most", "over the highest limit there is", "too_large", "", sized(7169), limit(7168))
	bad("garbage_at_limit", "garbage at the limit", mal, "not a compact", strings.Repeat("!", 3584))
	return all
}

// decoded returns the payload of a token with three parts.
func decoded(token string) string {
	p, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		panic(err)
	}
	return string(p)
}

// sealPlain seals with the ring key instead of a key derived from it.
func sealPlain() string {
	parts := sealParts(sealHead(keySeal.kid()+"."+vectorSalt), vectorPayload, vectorDomain, vectorSalt)
	block, err := aes.NewCipher(keySeal.secret)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		panic(err)
	}
	box := gcm.Seal(nil, nonce, []byte(vectorPayload), []byte(parts[0]))
	parts[3], parts[4] = b64(box[:len(vectorPayload)]), b64(box[len(vectorPayload):])
	return strings.Join(parts, ".")
}
