// Package interop_test exchanges tokens with other JOSE libraries, through their ordinary constructors. It uses nothing of
// this module but what its users have, and derives content keys by itself, as docs/token.md says.
package interop_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

const (
	domain = "shop"
	typ    = "waybill+jwt"
	salt   = "EBESExQVFhcYGRobHB0eHw" // of the process that another library issues in
)

var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats")
	Trail = waybill.NewClaim[map[string]any]("trail")
)

// party has the keys of one domain, as our ring and as the bytes that other libraries want.
type party struct {
	auth   map[string]*waybill.Authority // by protection
	file   []byte                        // the ring as a JWK Set
	mac    material
	seal   material
	sign   material
	signer ed25519.PrivateKey
}

type material struct {
	kid    string
	secret []byte
}

func newParty(t *testing.T) *party {
	t.Helper()
	begin := time.Now()
	var keys []*keyring.Key
	for _, alg := range []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public} {
		k, err := keyring.Generate(alg, keyring.Times{Created: begin, NotBefore: begin, Expires: begin.Add(100 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	set, err := keyring.NewSet(domain, keys...)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{file: set.SecretJWKS(), auth: map[string]*waybill.Authority{}}
	for name, opt := range map[string]waybill.Option{"signed": waybill.Claims(), "sealed": waybill.Protect(waybill.Sealed), "public": waybill.Protect(waybill.Public)} {
		p.auth[name], err = waybill.New(domain, keyring.NewRing(set), opt, waybill.Claims(Cell, Seats, Trail),
			waybill.AlsoOpen(waybill.Signed, waybill.Sealed, waybill.Public))
		if err != nil {
			t.Fatal(err)
		}
	}
	var file struct {
		Keys []struct{ Alg, Kid, K, D string }
	}
	if err := json.Unmarshal(p.file, &file); err != nil {
		t.Fatal(err)
	}
	for _, k := range file.Keys {
		secret, err := base64.RawURLEncoding.DecodeString(k.K + k.D)
		if err != nil {
			t.Fatal(err)
		}
		m := material{k.Kid, secret}
		switch k.Alg {
		case "HS256":
			p.mac = m
		case "dir":
			p.seal = m
		case "EdDSA":
			p.sign, p.signer = m, ed25519.NewKeyFromSeed(secret)
		}
	}
	return p
}

// contentKey derives the key of a sealed token from the ring key that its kid names: all that another library needs.
func (p *party) contentKey(kid string) ([]byte, error) {
	name, salt, ok := strings.Cut(kid, ".")
	if !ok || name != p.seal.kid {
		return nil, fmt.Errorf("no key for %q", kid)
	}
	var info []byte
	for _, part := range []string{"waybill/a256gcm/v1", domain, name, salt} {
		info = append(binary.BigEndian.AppendUint16(info, uint16(len(part))), part...)
	}
	return hkdf.Key(sha256.New, p.seal.secret, nil, string(info), 32)
}

var now = time.Now().Unix()

// claims are those that another library issues.
func claims() map[string]any {
	return map[string]any{
		"aud": domain, "sid": sid(now), "iat": now, "exp": now + 600, "end": now + 3600, "sub": "u-7 \"é😀\"",
		"cell": "eu-3 <&>", "seats": 2, "trail": map[string]any{"a": []any{"b", 1.5, nil, true}}, "unknown": map[string]any{"x": "y"},
	}
}

// sid returns the sid of a journey that began at the given second.
func sid(began int64) string {
	raw := binary.BigEndian.AppendUint32(nil, uint32(began))
	return base64.RawURLEncoding.EncodeToString(append(raw, "twelve bytes"...))
}

func without(m map[string]any, name string) map[string]any {
	delete(m, name)
	return m
}

// same compares two sets of claims as JSON.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, w := normal(t, got), normal(t, want)
	if !bytes.Equal(g, w) {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func normal(t *testing.T, v any) []byte {
	t.Helper()
	text, ok := v.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	if list, ok := tree["aud"].([]any); ok && len(list) == 1 {
		tree["aud"] = list[0] // one spelling of two that mean the same
	}
	out, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// opens opens a token of another library.
func (p *party) opens(t *testing.T, protection, token string, want map[string]any) {
	t.Helper()
	wb, err := p.auth["signed"].Open(token)
	if err != nil {
		t.Errorf("%s: %v\n%s", protection, err, token)
		return
	}
	if wb.Protection().String() != protection {
		t.Errorf("got %v, want %s", wb.Protection(), protection)
	}
	same(t, protection, wb.Payload(), want)
	if cell, ok := Cell.Of(wb); !ok || cell != want["cell"] {
		t.Errorf("%s: cell: got %q, %v, want %q", protection, cell, ok, want["cell"])
	}
	if wb.Subject() != want["sub"] {
		t.Errorf("%s: sub: got %q, want %q", protection, wb.Subject(), want["sub"])
	}
	// What came from there goes on from here: changed, it keeps every claim.
	ctx, hop := p.auth["signed"].Receive(t.Context(), []string{token}, nil)
	if err := waybill.Update(ctx, Seats.To(3)); err != nil {
		t.Fatal(err)
	}
	next, err := p.auth["signed"].Open(hop.Commit(waybill.Succeeded)[0])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(next.Payload(), &got); err != nil {
		t.Fatal(err)
	}
	changed := map[string]any{"bas": got["bas"], "seats": 3}
	for name, v := range want {
		if _, ok := changed[name]; !ok {
			changed[name] = v
		}
	}
	same(t, protection+", changed", next.Payload(), changed)
}

// refuses refuses a token of another library that does something this profile does not have.
func (p *party) refuses(t *testing.T, what, token, reason string) {
	t.Helper()
	wb, err := p.auth["signed"].Open(token)
	if wb != nil || waybill.Reason(err) != reason {
		t.Errorf("%s: got %v, %v, want it refused as %s\n%s", what, wb, err, reason, token)
	}
}

// ours is a token of this library, with all that a claim can hold, and its claims.
func (p *party) ours(t *testing.T, protection string) (string, []byte) {
	t.Helper()
	wb, err := p.auth[protection].Issue(Cell.To("eu-3 \"<&>é😀\u2028"), Seats.To(-7), Trail.To(map[string]any{"a": []any{"b", 1.5, nil}}))
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token(), wb.Payload()
}
