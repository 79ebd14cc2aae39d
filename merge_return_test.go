package waybill_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// shop is a domain whose key the test has, to issue tokens that no Authority issues.
type shop struct {
	key  *keyring.Key
	ring *keyring.Ring
	auth *waybill.Authority
}

func newShop(t testing.TB, opts ...waybill.Option) shop {
	t.Helper()
	k := lasting(t, keyring.Signed)
	ring := ringOf(t, "shop", k, lasting(t, keyring.Sealed), lasting(t, keyring.Public))
	return shop{k, ring, must(waybill.New("shop", ring, append([]waybill.Option{declareAll()}, opts...)...))(t)}
}

func (s shop) issue(payload string) string { return s.key.Codec().Issue([]byte(payload), "shop") }

// TestMergeRejects checks that a returned token which was not made from the sent token changes
// nothing.
func TestMergeRejects(t *testing.T) {
	s := newShop(t, waybill.AlsoOpen(waybill.Public))
	stranger := newShop(t)
	seconds := time.Now().Unix()
	sid := `"sid":"` + sidAt(seconds-100) + `"`
	const edge = `"rev":3,"has":"AAAAAAAA","was":{"tags":[]},"upd":{"cell":3},"sup":4`
	times := fmt.Sprintf(`"iat":%d,"exp":%d,"end":%d`, seconds, seconds+100, seconds+1000)
	base := fmt.Sprintf(`{"aud":"shop",%s,%s,"sub":"u","jti":"j","cnf":{"jkt":"x"},%s,"cell":"a"}`, sid, times, edge)
	token := s.issue(base)
	older := s.issue(strings.Replace(base, `"a"`, `"older"`, 1))
	// altered returns a valid returned token with one part replaced.
	altered := func(old, new string) string {
		good := strings.Replace(base, `"cell":"a"`, `"bas":"`+basOf(token)+`","cell":"b"`, 1)
		if strings.Count(good, old) != 1 {
			t.Fatalf("%s does not occur exactly once in %s", old, good)
		}
		return s.issue(strings.Replace(good, old, new, 1))
	}
	for _, test := range []struct {
		name     string
		returned string
		want     error
	}{
		{"garbage", "x", waybill.ErrMalformed},
		{"bad signature", altered(sid, sid)[:100] + "AAAA" + altered(sid, sid)[104:], waybill.ErrForged},
		{"unknown key", answer(t, stranger.auth, issue(t, stranger.auth).Token(), Cell.To("b")), waybill.ErrUnknownKey},
		{"oversize", altered(`"b"`, `"`+strings.Repeat("x", 3600)+`"`), waybill.ErrTooLarge},
		{"the answer to an older token", answer(t, s.auth, older, Cell.To("b")), waybill.ErrStale},
		{"another journey", answer(t, s.auth, issue(t, s.auth, Cell.To("a")).Token(), Cell.To("b")), waybill.ErrStale},
		{"a new journey", issue(t, s.auth, Cell.To("b")).Token(), waybill.ErrStale},
		{"the token itself", token, waybill.ErrStale},
		{"no bas", altered(`"bas":"`+basOf(token)+`",`, ``), waybill.ErrStale},
		{"another bas", altered(basOf(token), basOf(older)), waybill.ErrStale},
		{"another audience", altered(`"shop"`, `"bank"`), waybill.ErrAudience},
		{"another sid", altered(sid, `"sid":"`+sidAt(seconds+1)+`"`), waybill.ErrRegistered},
		{"a later exp", altered(fmt.Sprintf(`"exp":%d`, seconds+100), fmt.Sprintf(`"exp":%d`, seconds+101)), waybill.ErrRegistered},
		{"an earlier exp", altered(fmt.Sprintf(`"exp":%d`, seconds+100), fmt.Sprintf(`"exp":%d`, seconds+99)), waybill.ErrRegistered},
		{"another iat", altered(fmt.Sprintf(`"iat":%d`, seconds), fmt.Sprintf(`"iat":%d`, seconds-1)), waybill.ErrRegistered},
		{"a later end", altered(fmt.Sprintf(`"end":%d`, seconds+1000), fmt.Sprintf(`"end":%d`, seconds+9000)), waybill.ErrRegistered},
		{"an nbf", altered(sid, sid+`,"nbf":1`), waybill.ErrRegistered},
		{"an iss", altered(sid, sid+`,"iss":"evil"`), waybill.ErrRegistered},
		{"another sub", altered(`"sub":"u"`, `"sub":"root"`), waybill.ErrRegistered},
		{"no sub", altered(`"sub":"u",`, ``), waybill.ErrRegistered},
		{"another jti", altered(`"jti":"j"`, `"jti":"k"`), waybill.ErrRegistered},
		{"another cnf", altered(`{"jkt":"x"}`, `{"jkt":"y"}`), waybill.ErrRegistered},
		{"no cnf", altered(`,"cnf":{"jkt":"x"}`, ``), waybill.ErrRegistered},
		{"another rev", altered(`"rev":3`, `"rev":4`), waybill.ErrRegistered},
		{"another has", altered(`AAAAAAAA`, `AAAAAAAB`), waybill.ErrRegistered},
		{"another was", altered(`"was":{"tags":[]}`, `"was":{}`), waybill.ErrRegistered},
		{"another upd", altered(`"upd":{"cell":3}`, `"upd":{"cell":2}`), waybill.ErrRegistered},
		{"no sup", altered(`,"sup":4`, ``), waybill.ErrRegistered},
		{"another protection", string(publicToken(t, s, strings.Replace(base, `"cell":"a"`, `"bas":"`+basOf(token)+`","cell":"b"`, 1))), waybill.ErrProtection},
		{"expired when the call was sent", altered(times, fmt.Sprintf(`"iat":%d,"exp":%d,"end":%d`, seconds-100, seconds-50, seconds+1000)), waybill.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, hop := receive(t, s.auth, token)
			before := now(t, ctx)
			call := send(t, s.auth, ctx)
			out, err := call.Merge(list(test.returned), waybill.Succeeded)
			if out != waybill.Rejected || !errors.Is(err, test.want) {
				t.Errorf("got %s, %v, want rejected, %v", out, err, test.want)
			}
			if lost := waybill.Lost(ctx); !errors.Is(lost, test.want) {
				t.Errorf("Lost: got %v, want %v", lost, test.want)
			}
			if now(t, ctx) != before {
				t.Errorf("got %s, want nothing changed", now(t, ctx).Payload())
			}
			// A valid response to the same call is still merged: a failed attempt does not affect
			// the others.
			if out, err := call.Merge(list(altered(sid, sid)), waybill.Succeeded); out != waybill.Relayed || err != nil {
				t.Errorf("the valid token: got %s, %v, want relayed", out, err)
			}
			if single(hop.Commit(waybill.Succeeded)) != altered(sid, sid) {
				t.Error("the valid token was not relayed")
			}
		})
	}
}

// publicToken signs a payload with the EdDSA key of an Authority's ring.
func publicToken(t testing.TB, s shop, payload string) []byte {
	t.Helper()
	k := s.ring.Set().Active(keyring.Public, time.Now(), time.Now())
	return []byte(k.Codec().Issue([]byte(payload), "shop"))
}

func TestMergeOfNothing(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth)
	if out, err := send(t, auth, ctx).Merge(list(""), waybill.Succeeded); out != waybill.Unchanged || err != nil || waybill.Lost(ctx) != nil {
		t.Errorf("got %s, %v, want unchanged", out, err)
	}
}

func TestMergeTooLate(t *testing.T) {
	auth := authority(t)
	for want, end := range map[error]func(waybill.Hop){
		waybill.ErrCommitted: func(h waybill.Hop) { single(h.Commit(waybill.Succeeded)) },
		waybill.ErrTooLate:   func(h waybill.Hop) { single(h.FinalReturn(waybill.Succeeded)) },
	} {
		ctx, hop := receive(t, auth, issue(t, auth).Token())
		call := send(t, auth, ctx)
		end(hop)
		out, err := call.Merge(list(answer(t, auth, call.Token(), Cell.To("b"))), waybill.Succeeded)
		if out != waybill.Rejected || !errors.Is(err, want) || !errors.Is(waybill.Lost(ctx), want) {
			t.Errorf("got %s, %v, Lost %v, want rejected, %v", out, err, waybill.Lost(ctx), want)
		}
	}
}

// TestMergeAfterExpiry checks that a returned token is judged at the time the call was sent,
// however long the call takes.
func TestMergeAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		ctx, hop := receive(t, auth, issue(t, auth).Token())
		time.Sleep(waybill.DefaultLife - time.Minute)
		call := send(t, auth, ctx)
		returned := answer(t, auth, call.Token(), Cell.To("b"))
		time.Sleep(time.Hour)
		if out, err := call.Merge(list(returned), waybill.Succeeded); out != waybill.Relayed || err != nil {
			t.Errorf("got %s, %v, want relayed", out, err)
		}
		if single(hop.Commit(waybill.Succeeded)) != returned {
			t.Error("the returned token was not relayed")
		}
	})
}

// TestMergeRevoked checks that revocation is judged at the current time.
func TestMergeRevoked(t *testing.T) {
	k, other := lasting(t, keyring.Signed), lasting(t, keyring.Signed)
	before := must(keyring.NewSet("shop", k))(t)
	ring := keyring.NewRing(before)
	auth := must(waybill.New("shop", ring, declareAll()))(t)
	ctx, _ := receive(t, auth, issue(t, auth).Token())
	call := send(t, auth, ctx)
	returned := answer(t, auth, call.Token(), Cell.To("b"))
	revoked := strings.Replace(string(must(keyring.NewSet("shop", other))(t).SecretJWKS()), `"keys": [`,
		fmt.Sprintf(`"keys": [{"kid":%q,"revoked":{"revoked_at":1}},`, k.ID()), 1)
	if err := ring.Swap(must(keyring.ParseSet([]byte(revoked)))(t)); err != nil {
		t.Fatal(err)
	}
	if out, err := call.Merge(list(returned), waybill.Succeeded); out != waybill.Rejected || !errors.Is(err, waybill.ErrRevokedKey) {
		t.Errorf("got %s, %v, want rejected, ErrRevokedKey", out, err)
	}
}

// TestMergeRuleFails checks that a returned token is rejected as a whole if this service cannot
// merge it.
func TestMergeRuleFails(t *testing.T) {
	auth := authority(t, waybill.IssueLimit(512))
	roomy := authority(t)
	loose := waybilltest.Authority(t, waybill.Claims(Cell, waybill.NewClaim[string]("tenant")))
	for _, test := range []struct {
		name   string
		by     *waybill.Authority
		theirs []waybill.Change
		want   error
	}{
		{"fixed", loose, []waybill.Change{waybill.NewClaim[string]("tenant").To("evil"), Cell.To("t")}, waybill.ErrFixed},
		{"fixed, deleted", loose, []waybill.Change{waybill.NewClaim[string]("tenant").Delete(), Cell.To("t")}, waybill.ErrFixed},
		{"too large together", roomy, []waybill.Change{Cell.To("t"), Receipt.To(strings.Repeat("x", 200))}, waybill.ErrTooLarge},
	} {
		ctx, hop := receive(t, auth, issue(t, auth, Tenant.To("acme"), Cell.To("a"), Seats.To(1)).Token())
		call := send(t, auth, ctx)
		change(t, ctx, Seats.To(2), Stamp.To(strings.Repeat("y", 50)))
		before := now(t, ctx)
		out, err := call.Merge(list(answer(t, test.by, call.Token(), test.theirs...)), waybill.Succeeded)
		if out != waybill.Rejected || !errors.Is(err, test.want) || !errors.Is(waybill.Lost(ctx), test.want) {
			t.Errorf("%s: got %s, %v, want rejected, %v", test.name, out, err, test.want)
		}
		if now(t, ctx) != before {
			t.Errorf("%s: got %s, want nothing changed", test.name, now(t, ctx).Payload())
		}
		hop.Commit(waybill.Succeeded)
	}
	// A fixed claim cannot be changed by a relay either.
	ctx, _ := receive(t, auth, issue(t, auth, Tenant.To("acme")).Token())
	call := send(t, auth, ctx)
	out, err := call.Merge(list(answer(t, loose, call.Token(), waybill.NewClaim[string]("tenant").To("evil"))), waybill.Succeeded)
	if out != waybill.Rejected || !errors.Is(err, waybill.ErrFixed) {
		t.Errorf("relay: got %s, %v, want rejected, ErrFixed", out, err)
	}
	wantClaim(t, ctx, Tenant, "acme")
}

// TestLostIsBounded checks that a peer which returns garbage does not fill the memory of a long
// job.
func TestLostIsBounded(t *testing.T) {
	auth := authority(t)
	job := must(auth.Start(t.Context()))(t)
	call := send(t, auth, job)
	for range 10_000 {
		if out, _ := call.Merge(list("garbage"), waybill.Succeeded); out != waybill.Rejected {
			t.Fatalf("got %s, want rejected", out)
		}
	}
	lost, ok := waybill.Lost(job).(interface{ Unwrap() []error })
	if !ok || len(lost.Unwrap()) > 32 || !errors.Is(waybill.Lost(job), waybill.ErrMalformed) {
		t.Errorf("got %d errors, want at least one and at most 32", strings.Count(waybill.Lost(job).Error(), "\n")+1)
	}
}

// TestMergeDropsOneClaim checks that a claim that cannot be merged costs itself, and no other claim of the
// returned token, nor the process.
func TestMergeDropsOneClaim(t *testing.T) {
	broken := waybill.NewClaim[int]("broken").Merge(func(_, _, _ int) int { panic("a rule's bug") })
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats, broken))
	text := waybill.NewClaim[string]("seats")
	loose := waybilltest.Authority(t, waybill.Claims(text, Cell, broken))
	for _, test := range []struct {
		name   string
		mine   []waybill.Change
		theirs []waybill.Change
		want   error
		claims string
	}{
		{"ill-typed, relayed otherwise", nil, []waybill.Change{text.To("many"), Cell.To("t")}, waybill.ErrClaimType, `"cell":"t","seats":1`},
		{"ill-typed, changed here too", []waybill.Change{Seats.To(2)}, []waybill.Change{text.To("many"), Cell.To("t")}, waybill.ErrClaimType, `"cell":"t","seats":2`},
		{"the rule panics", []waybill.Change{broken.To(1)}, []waybill.Change{broken.To(2), Cell.To("t")}, waybill.ErrMerge, `"cell":"t","seats":1,"broken":1`},
	} {
		ctx, hop := receive(t, auth, issue(t, auth, Cell.To("a"), Seats.To(1)).Token())
		call := send(t, auth, ctx)
		change(t, ctx, test.mine...)
		out, err := call.Merge(list(answer(t, loose, call.Token(), test.theirs...)), waybill.Succeeded)
		if out != waybill.Merged || !errors.Is(err, test.want) || !errors.Is(waybill.Lost(ctx), test.want) {
			t.Errorf("%s: got %s, %v, Lost %v, want merged and %v", test.name, out, err, waybill.Lost(ctx), test.want)
		}
		wantClaims(t, must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t), test.claims)
	}
}

// TestMergeReservedPrefix checks that a callee cannot set claims of this module.
func TestMergeReservedPrefix(t *testing.T) {
	s := newShop(t)
	seconds := time.Now().Unix()
	base := fmt.Sprintf(`{"aud":"shop","sid":"%s","iat":%d,"exp":%d,"end":%d,"wb_rel":"v1"}`,
		sidAt(seconds), seconds, seconds+100, seconds+1000)
	token := s.issue(base)
	for name, payload := range map[string]string{
		"added":   strings.Replace(base, `"wb_rel"`, `"bas":"`+basOf(token)+`","wb_cell":"x","wb_rel"`, 1),
		"changed": strings.Replace(base, `"wb_rel":"v1"`, `"bas":"`+basOf(token)+`","wb_rel":"v2"`, 1),
		"removed": strings.Replace(base, `,"wb_rel":"v1"`, `,"bas":"`+basOf(token)+`"`, 1),
	} {
		ctx, _ := receive(t, s.auth, token)
		out, err := send(t, s.auth, ctx).Merge(list(s.issue(payload)), waybill.Succeeded)
		if out != waybill.Rejected || !errors.Is(err, waybill.ErrRegistered) {
			t.Errorf("%s: got %s, %v, want rejected, ErrRegistered", name, out, err)
		}
	}
}
