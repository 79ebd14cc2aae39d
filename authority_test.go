package waybill_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestNewErrors(t *testing.T) {
	ring := ringOf(t, "shop", lasting(t, keyring.Signed))
	for _, test := range []struct {
		name   string
		domain string
		ring   *keyring.Ring
		opts   []waybill.Option
		want   string // in the error; "" for no error
	}{
		{"typical", "shop", ring, nil, ""},
		{"keys not loaded yet", "shop", keyring.NewRing(nil), nil, ""},
		{"no ring", "shop", nil, nil, "no key ring"},
		{"no domain", "", ring, nil, "domain"},
		{"bad domain", "my shop", ring, nil, "domain"},
		{"ring of another domain", "bank", ring, nil, "the ring belongs to shop, not to bank"},
		{"no such protection", "shop", ring, []waybill.Option{waybill.AlsoOpen(0)}, "unknown protection 0"},
		{"no such protection", "shop", ring, []waybill.Option{waybill.AlsoOpen(4)}, "unknown protection 4"},
		{"no life", "shop", ring, []waybill.Option{waybill.Life(0)}, "Life(0s)"},
		{"negative life", "shop", ring, []waybill.Option{waybill.Life(-time.Minute)}, "Life(-1m0s)"},
		{"parts of seconds", "shop", ring, []waybill.Option{waybill.Life(1500 * time.Millisecond)}, "Life(1.5s)"},
		{"life of 11 years", "shop", ring, []waybill.Option{waybill.Life(11 * 365 * 24 * time.Hour)}, "Life("},
		{"maximum below life", "shop", ring, []waybill.Option{waybill.Life(time.Hour), waybill.MaxLife(time.Minute)}, "MaxLife(1m0s)"},
		{"long life lifts the maximum", "shop", ring, []waybill.Option{waybill.Life(2 * time.Hour)}, ""},
		{"maximum below journey", "shop", ring, []waybill.Option{waybill.MaxJourney(time.Hour)}, "MaxJourney(1h0m0s)"},
		{"maximum journey in part", "shop", ring, []waybill.Option{waybill.MaxJourney(24*time.Hour + time.Millisecond)}, "MaxJourney(24h0m0.001s)"},
		{"maximum journey is the journey", "shop", ring, []waybill.Option{waybill.MaxJourney(12 * time.Hour)}, ""},
		{"journey over the default maximum", "shop", ring, []waybill.Option{waybill.Journey(48 * time.Hour)}, ""},
		{"journey below life", "shop", ring, []waybill.Option{waybill.Journey(time.Minute)}, "Journey(1m0s)"},
		{"negative leeway", "shop", ring, []waybill.Option{waybill.Leeway(-time.Second)}, "Leeway(-1s)"},
		{"no leeway", "shop", ring, []waybill.Option{waybill.Leeway(0)}, ""},
		{"leeway at most", "shop", ring, []waybill.Option{waybill.Leeway(time.Minute)}, ""},
		{"leeway over that", "shop", ring, []waybill.Option{waybill.Leeway(61 * time.Second)}, "Leeway(1m1s)"},
		{"leeway in milliseconds", "shop", ring, []waybill.Option{waybill.Leeway(500 * time.Millisecond)}, "Leeway(500ms)"},
		{"small accept limit", "shop", ring, []waybill.Option{waybill.IssueLimit(256), waybill.AcceptLimit(255)}, "AcceptLimit(255)"},
		{"large accept limit", "shop", ring, []waybill.Option{waybill.AcceptLimit(7169)}, "AcceptLimit(7169)"},
		{"largest accept limit", "shop", ring, []waybill.Option{waybill.AcceptLimit(7168)}, ""},
		{"small issue limit", "shop", ring, []waybill.Option{waybill.IssueLimit(255)}, "IssueLimit(255)"},
		{"issue over accept limit", "shop", ring, []waybill.Option{waybill.IssueLimit(3585)}, "IssueLimit(3585)"},
		{"issue over a low accept limit", "shop", ring, []waybill.Option{waybill.AcceptLimit(1024), waybill.IssueLimit(2048)}, "raise both"},
		{"no issue limit", "shop", ring, []waybill.Option{waybill.IssueLimit(0)}, "IssueLimit(0)"},
		{"negative issue limit", "shop", ring, []waybill.Option{waybill.IssueLimit(-2)}, "IssueLimit(-2)"},
		{"low accept limit alone", "shop", ring, []waybill.Option{waybill.AcceptLimit(256)}, ""},
		{"a reserved claim in traces", "shop", ring, []waybill.Option{waybill.Traced(waybill.NewClaim[string]("sub"))}, "cannot be Traced"},
		{"smallest limits", "shop", ring, []waybill.Option{waybill.IssueLimit(256), waybill.AcceptLimit(256)}, ""},
	} {
		auth, err := waybill.New(test.domain, test.ring, test.opts...)
		switch {
		case (err == nil) != (test.want == "") || (auth == nil) != (err != nil):
			t.Errorf("%s: got %v, %v, want %q", test.name, auth, err, test.want)
		case err != nil && !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: got %q, want a text with %q", test.name, err, test.want)
		case err == nil && (auth.Domain() != test.domain):
			t.Errorf("%s: got domain %s, want %s", test.name, auth.Domain(), test.domain)
		}
	}
	_, err := waybill.New("bank", ring)
	wantIs(t, err, keyring.ErrDomain)
}

// shapes are the tokens of the three protections, with the headers and payloads of the profile.
var shapes = []struct {
	opt    waybill.Option
	is     waybill.Protection
	name   string
	header string
	parts  int
}{
	{waybill.Claims(), waybill.Signed, "signed", `^\{"alg":"HS256","kid":"([\w-]{11})","typ":"waybill\+jwt"\}$`, 3},
	{waybill.Protect(waybill.Sealed), waybill.Sealed, "sealed",
		`^\{"alg":"dir","enc":"A256GCM","kid":"([\w-]{11})\.[\w-]{21}[AQgw]","typ":"waybill\+jwt"\}$`, 5},
	{waybill.Protect(waybill.Public), waybill.Public, "public", `^\{"alg":"EdDSA","kid":"([\w-]{11})","typ":"waybill\+jwt"\}$`, 3},
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, shape := range shapes {
			auth := authority(t, shape.opt)
			time.Sleep(1700 * time.Millisecond) // times in tokens are whole seconds
			start := time.Now()
			wb := issue(t, auth, Cell.To("eu-3"), Tenant.To("acme"), Seats.To(2))
			again := must(auth.Open(wb.Token()))(t)
			for _, w := range []*waybill.Waybill{wb, again} {
				seconds := start.Unix()
				wantPayload := fmt.Sprintf(`{"aud":"test","sid":"%s","iat":%d,"exp":%d,"end":%d,"cell":"eu-3","tenant":"acme","seats":2}`,
					w.ID(), seconds, seconds+15*60, seconds+12*3600)
				if got := string(w.Payload()); got != wantPayload {
					t.Errorf("%s: payload: got %s, want %s", shape.name, got, wantPayload)
				}
				if got, want := w.Issued(), start.Truncate(time.Second).UTC(); !got.Equal(want) {
					t.Errorf("%s: Issued: got %v, want %v", shape.name, got, want)
				}
				if got := w.Began(); !got.Equal(w.Issued()) {
					t.Errorf("%s: Began: got %v, want %v", shape.name, got, w.Issued())
				}
				if got, want := w.Expires().Sub(w.Issued()), waybill.DefaultLife; got != want {
					t.Errorf("%s: life: got %v, want %v", shape.name, got, want)
				}
				if got, want := w.Ends().Sub(w.Issued()), waybill.DefaultJourney; got != want {
					t.Errorf("%s: journey: got %v, want %v", shape.name, got, want)
				}
				if w.Protection() != shape.is || w.Protection().String() != shape.name {
					t.Errorf("Protection: got %v, want %v", w.Protection(), shape.name)
				}
				if w.Domain() != "test" || w.Issuer() != "" || w.Subject() != "" {
					t.Errorf("%s: got domain %q, issuer %q, subject %q, want only the domain", shape.name, w.Domain(), w.Issuer(), w.Subject())
				}
			}
			if sid, err := base64.RawURLEncoding.Strict().DecodeString(wb.ID()); err != nil || len(sid) != 16 {
				t.Errorf("%s: ID: got %q, want 16 bytes in base64url", shape.name, wb.ID())
			}
			parts := strings.Split(wb.Token(), ".")
			header, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
			match := regexp.MustCompile(shape.header).FindSubmatch(header)
			if err != nil || match == nil || len(parts) != shape.parts || string(match[1]) != wb.KeyID() {
				t.Errorf("%s: header: got %s in %d parts, want %s in %d, and kid %s", shape.name, header, len(parts), shape.header, shape.parts, wb.KeyID())
			}
			if shape.is == waybill.Sealed && strings.Contains(decodeAll(parts), "eu-3") {
				t.Errorf("%s: the token can be read", shape.name)
			}
			if again.Token() != wb.Token() {
				t.Errorf("%s: Token: differs after opening", shape.name)
			}
		}
	})
}

func decodeAll(parts []string) string {
	all := ""
	for _, p := range parts {
		raw, _ := base64.RawURLEncoding.DecodeString(p)
		all += string(raw)
	}
	return all
}

// TestIssueIsFresh checks that each sealed token has a new sid and a new nonce. The salt is the
// same for all tokens of one process.
func TestIssueIsFresh(t *testing.T) {
	auth := authority(t, waybill.Protect(waybill.Sealed))
	ids, nonces, salts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	const n = 1000
	for range n {
		wb := issue(t, auth)
		parts := strings.Split(wb.Token(), ".")
		ids[wb.ID()], nonces[parts[2]], salts[parts[0]] = true, true, true
	}
	if len(ids) != n || len(nonces) != n || len(salts) != 1 {
		t.Errorf("got %d sids, %d nonces and %d salts of %d tokens, want %d, %d and 1", len(ids), len(nonces), len(salts), n, n, n)
	}
}

func TestNilWaybill(t *testing.T) {
	var wb *waybill.Waybill
	if wb.Token() != "" || wb.ID() != "" || wb.Domain() != "" || wb.Issuer() != "" || wb.Subject() != "" || wb.KeyID() != "" ||
		wb.Protection() != 0 || !wb.Issued().IsZero() || !wb.Expires().IsZero() || !wb.Ends().IsZero() || wb.Has("aud") || wb.Payload() != nil {
		t.Error("the nil waybill is not empty")
	}
	if got := wb.Protection().String(); got != "unknown" {
		t.Errorf("protection 0: got %q, want unknown", got)
	}
}

// TestTimesAround opens one token at each second around its bounds.
func TestTimesAround(t *testing.T) {
	for _, leeway := range []time.Duration{0, waybill.DefaultLeeway, waybill.MaxLeeway} {
		synctest.Test(t, func(t *testing.T) {
			auth := authority(t, waybill.Leeway(leeway))
			time.Sleep(time.Hour) // so that earlier times exist
			wb := issue(t, auth)
			issued, expires := time.Now(), time.Now().Add(waybill.DefaultLife)
			for _, test := range []struct {
				at   time.Time
				want string
			}{
				{issued.Add(-leeway - time.Second), "not_yet_valid"},
				{issued.Add(-leeway), "ok"},
				{issued, "ok"},
				{expires.Add(leeway - time.Second), "ok"},
				{expires.Add(leeway - time.Nanosecond), "ok"},
				{expires.Add(leeway), "expired"},
				{expires.Add(24 * time.Hour), "expired"},
			} {
				_, err := auth.OpenAt(wb.Token(), test.at)
				if got := waybill.Reason(err); got != test.want {
					t.Errorf("leeway %v, %v after issue: got %s, want %s", leeway, test.at.Sub(issued), got, test.want)
				}
			}
			time.Sleep(waybill.DefaultLife + leeway - time.Second)
			if _, err := auth.Open(wb.Token()); err != nil {
				t.Errorf("Open in the last second: got %v", err)
			}
			time.Sleep(time.Second)
			_, err := auth.Open(wb.Token())
			wantIs(t, err, waybill.ErrExpired)
		})
	}
}

// TestDerive checks that tokens of another purpose have another audience, with the same ring and
// clock.
func TestDerive(t *testing.T) {
	now := time.Now().Add(-time.Hour)
	for _, shape := range shapes {
		auth := authority(t, shape.opt, waybill.Clock(func() time.Time { return now }), waybill.Leeway(30*time.Second))
		note := waybill.NewClaim[string]("note")
		derived := must(auth.Derive("request-state", shape.opt, waybill.Claims(note), waybill.Life(time.Minute)))(t)
		wb := issue(t, derived, note.To("n"))
		if derived.Domain() != waybilltest.Domain+"#request-state" || wb.Domain() != derived.Domain() || !wb.Issued().Equal(now.Truncate(time.Second).UTC()) {
			t.Errorf("%s: got domain %s, token of %s issued %v", shape.name, derived.Domain(), wb.Domain(), wb.Issued())
		}
		opened := must(derived.Open(wb.Token()))(t)
		if got, _ := note.Of(opened); got != "n" {
			t.Errorf("%s: got %q, want n", shape.name, got)
		}
		for name, err := range map[string]error{
			"the derived token, by the domain":   second(auth.Open(wb.Token())),
			"the domain's token, by the derived": second(derived.Open(issue(t, auth).Token())),
			"another purpose":                    second(must(auth.Derive("other", shape.opt))(t).Open(wb.Token())),
		} {
			if shape.is == waybill.Sealed && errors.Is(err, waybill.ErrForged) {
				continue // its content key is derived from the audience
			}
			if !errors.Is(err, waybill.ErrAudience) {
				t.Errorf("%s, %s: got %v, want ErrAudience", shape.name, name, err)
			}
		}
		if _, err := derived.Derive("again"); err == nil || !strings.Contains(err.Error(), "derived already") {
			t.Errorf("derived twice: got %v", err)
		}
	}
	auth := authority(t)
	for _, purpose := range []string{"", "a#b", "A", "a b", "ä", strings.Repeat("a", 65)} {
		if _, err := auth.Derive(purpose); err == nil || !strings.Contains(err.Error(), "purpose") {
			t.Errorf("purpose %q: got %v, want an error about it", purpose, err)
		}
	}
	if _, err := auth.Derive("x", waybill.Life(0)); err == nil {
		t.Error("a bad option was accepted")
	}
	ctx := must(auth.Start(t.Context()))(t)
	if _, err := must(auth.Derive("x"))(t).Send(ctx); err != waybill.ErrForeignDomain {
		t.Errorf("Send: got %v, want ErrForeignDomain", err)
	}
}

// second returns the second of two results.
func second[T any](_ T, err error) error { return err }

type loader func() ([]byte, error)

func (l loader) Load(context.Context) (keyring.Blob, error) {
	data, err := l()
	return keyring.Blob{Data: data}, err
}

func (l loader) Nudges(context.Context) <-chan struct{} { return nil }

// TestDomainsDoNotMix opens a token of another domain with the same key.
func TestDomainsDoNotMix(t *testing.T) {
	for _, shape := range shapes {
		keys := []*keyring.Key{lasting(t, keyring.Signed), lasting(t, keyring.Sealed), lasting(t, keyring.Public)}
		shop := must(waybill.New("shop", ringOf(t, "shop", keys...), shape.opt))(t)
		bank := must(waybill.New("bank", ringOf(t, "bank", keys...), shape.opt))(t)
		_, err := bank.Open(issue(t, shop).Token())
		want := waybill.ErrAudience
		if shape.is == waybill.Sealed {
			want = waybill.ErrForged // the content key differs
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", shape.name, err, want)
		}
	}
}

// TestProtectionNotConfigured opens each protection at each Authority.
func TestProtectionNotConfigured(t *testing.T) {
	for _, from := range shapes {
		token := issue(t, authority(t, from.opt)).Token()
		for _, to := range shapes {
			_, err := authority(t, to.opt).Open(token)
			if from.is == to.is {
				if err != nil {
					t.Errorf("%s at %s: got %v", from.name, to.name, err)
				}
			} else if !errors.Is(err, waybill.ErrProtection) {
				t.Errorf("%s at %s: got %v, want ErrProtection", from.name, to.name, err)
			}
			if _, err := authority(t, to.opt, waybill.AlsoOpen(from.is)).Open(token); err != nil {
				t.Errorf("%s at %s that also opens it: got %v", from.name, to.name, err)
			}
		}
	}
}

// TestJourneyKeepsProtection changes a waybill at an Authority that issues another protection.
func TestJourneyKeepsProtection(t *testing.T) {
	for _, from := range shapes {
		for _, to := range shapes {
			auth := authority(t, to.opt, waybill.AlsoOpen(from.is))
			ctx, hop := receive(t, auth, issue(t, authority(t, from.opt)).Token())
			change(t, ctx, Cell.To("b"))
			returned := must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t)
			if got := returned.Protection(); got != from.is {
				t.Errorf("%s changed at %s: got %v, want it unchanged", from.name, to.name, got)
			}
		}
	}
}

// TestUnknownClaimsSurvive changes a waybill that has claims unknown to this service.
func TestUnknownClaimsSurvive(t *testing.T) {
	const more = `"iss":"edge \u0031","nbf":1,"jti":"j","cnf":{"jkt":"x"},"wb_later":[1],` +
		`"rev":3,"has":"AAAAAAAA","was":{"tags":[]},"upd":{"cell":3},"sup":4,"n":[1.50,-0,1E5],"s":"\u0041\/é","o":{"b":1,"a":{"x":null}},"ключ":"\ud83d\ude00"`
	key := lasting(t, keyring.Signed)
	auth := must(waybill.New("shop", ringOf(t, "shop", key), declareAll()))(t)
	now := time.Now().Unix()
	payload := fmt.Sprintf(`{"seats":1,%s,"end":%d,"cell":"a","exp":%d,"aud":["shop"],"iat":%d,"sid":"%s"}`,
		more, now+1000, now+100, now, sidAt(now))
	token := key.Codec().Issue([]byte(payload), "shop")
	ctx, hop := receive(t, auth, token)
	change(t, ctx, Cell.To("b"), Seats.Delete(), Price.To(3))
	got := must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t).Payload()
	bas := fmt.Sprintf(`"bas":"%s",`, basOf(token))
	if !bytes.Contains(got, []byte(bas)) {
		t.Fatalf("got %s, want it with %s", got, bas)
	}
	got = bytes.Replace(got, []byte(bas), nil, 1)
	want := strings.Replace(payload, `"seats":1,`, "", 1)
	want = strings.Replace(want, `"cell":"a"`, `"cell":"b"`, 1)
	want = strings.TrimSuffix(want, "}") + `,"price":3}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	var decoded map[string]any
	if err := json.Unmarshal(got, &decoded); err != nil || decoded["ключ"] != "😀" {
		t.Errorf("got %v, %v, want every claim", decoded, err)
	}
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("somewhere: %w", err)
}
