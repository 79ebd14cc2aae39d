package waybill_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// Extra is not declared to the services that merge it.
var Extra = waybill.NewClaim[json.RawMessage]("extra")

// TestMergeTable changes a claim on both sides of one call, for every rule.
func TestMergeTable(t *testing.T) {
	front := authority(t)
	back := waybilltest.Authority(t, waybill.Claims(Cell, Seats, Price, Tags, Extra))
	const absent = ""
	raw := func(name, value string) waybill.Change {
		c := waybill.NewClaim[json.RawMessage](name)
		if value == absent {
			return c.Delete()
		}
		return c.To(json.RawMessage(value))
	}
	// Services that set any value, whatever the type, and declare nothing else of the claim.
	loose := waybilltest.Authority(t, waybill.Claims(waybill.NewClaim[json.RawMessage]("cell"), waybill.NewClaim[json.RawMessage]("seats"),
		waybill.NewClaim[json.RawMessage]("price"), waybill.NewClaim[json.RawMessage]("tags"), Extra))
	for _, test := range []struct {
		claim              string
		base, mine, theirs string
		want               string
		out                waybill.Outcome
	}{
		// One side only.
		{"cell", `"a"`, `"a"`, `"a"`, `"a"`, waybill.Unchanged},
		{"cell", `"a"`, `"m"`, `"a"`, `"m"`, waybill.Unchanged},
		{"cell", `"a"`, `"a"`, `"t"`, `"t"`, waybill.Relayed},
		{"cell", absent, absent, `"t"`, `"t"`, waybill.Relayed},
		{"cell", `"a"`, `"a"`, absent, absent, waybill.Relayed},
		{"cell", `"a"`, absent, `"a"`, absent, waybill.Unchanged},
		// Both sides: last writer.
		{"cell", `"a"`, `"m"`, `"t"`, `"t"`, waybill.Merged},
		{"cell", `"a"`, `"m"`, absent, absent, waybill.Merged},
		{"cell", `"a"`, absent, `"t"`, `"t"`, waybill.Merged},
		{"cell", absent, `"m"`, `"t"`, `"t"`, waybill.Merged},
		{"cell", `"a"`, `"x"`, `"x"`, `"x"`, waybill.Unchanged},
		{"cell", `"a"`, absent, absent, absent, waybill.Unchanged},
		// Greatest.
		{"seats", `1`, `3`, `2`, `3`, waybill.Unchanged},
		{"seats", `1`, `2`, `3`, `3`, waybill.Merged},
		{"seats", `5`, `3`, `2`, `3`, waybill.Unchanged},
		{"seats", absent, `2`, `3`, `3`, waybill.Merged},
		{"seats", absent, `-2`, `-3`, `-2`, waybill.Unchanged},
		{"seats", `1`, `2`, `2`, `2`, waybill.Unchanged},
		// A set beats a delete.
		{"seats", `5`, absent, `3`, `3`, waybill.Merged},
		{"seats", `5`, `3`, absent, `3`, waybill.Unchanged},
		{"seats", `5`, absent, absent, absent, waybill.Unchanged},
		{"seats", `5`, `5`, absent, absent, waybill.Relayed},
		// Least.
		{"price", `9`, `7`, `8`, `7`, waybill.Unchanged},
		{"price", `9`, `8`, `7`, `7`, waybill.Merged},
		{"price", `1`, `8`, `7`, `7`, waybill.Merged},
		// Sets.
		{"tags", `["a"]`, `["a","m"]`, `["a","t"]`, `["a","m","t"]`, waybill.Merged},
		{"tags", `["a","b"]`, `["a"]`, `["a","b","t"]`, `["a","t"]`, waybill.Merged},
		{"tags", `["a","b"]`, `["a"]`, `["b"]`, `[]`, waybill.Merged},
		{"tags", absent, `["m"]`, `["t"]`, `["m","t"]`, waybill.Merged},
		{"tags", `null`, `["m"]`, `["t"]`, `["m","t"]`, waybill.Merged},
		{"tags", `["a"]`, absent, `["t"]`, `["t"]`, waybill.Merged},
		// Nobody here knows the claim.
		{"extra", `1`, `1`, `2`, `2`, waybill.Relayed},
		{"extra", absent, absent, `{"x":[1]}`, `{"x":[1]}`, waybill.Relayed},
		{"extra", `1`, `1`, absent, absent, waybill.Relayed},
		{"extra", `1`, `5`, `2`, `5`, waybill.Conflict},
		{"extra", `1`, `5`, absent, `5`, waybill.Conflict},
		{"extra", `1`, absent, `2`, absent, waybill.Conflict},
		{"extra", absent, `5`, `2`, `5`, waybill.Conflict},
		{"extra", `1`, `5`, `5`, `5`, waybill.Unchanged},
		// The same number in another spelling is a change.
		{"extra", `1.0`, `1.0`, `1`, `1`, waybill.Relayed},
		{"extra", `null`, `null`, absent, absent, waybill.Relayed},
		{"extra", absent, absent, `null`, `null`, waybill.Relayed},
	} {
		name := fmt.Sprintf("%s: %s, %s and %s", test.claim, test.base, test.mine, test.theirs)
		base := issue(t, loose, raw(test.claim, test.base)).Token()
		ctx, hop := receive(t, front, base)
		call := send(t, ctx)
		if test.mine != test.base {
			// Mine comes from another call to a service that may set anything, as the front service may not know the claim.
			other := send(t, ctx)
			if _, err := other.Return(answer(t, loose, other.Token(), raw(test.claim, test.mine))); err != nil {
				t.Fatal(err)
			}
		}
		update := ""
		if test.theirs != test.base {
			update = answer(t, loose, call.Token(), raw(test.claim, test.theirs))
		}
		out, err := call.Return(update)
		if out != test.out || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, out, err, test.out)
		}
		got := ""
		if v, ok := waybill.NewClaim[json.RawMessage](test.claim).Of(now(t, ctx)); ok {
			got = string(v)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		committed := hop.Commit(false)
		if out == waybill.Relayed && committed != update {
			t.Errorf("%s: the update was not relayed verbatim", name)
		}
		if committed != "" {
			if wb, err := back.Open(committed); err != nil || wb.Has(test.claim) != (test.want != absent) {
				t.Errorf("%s: got update %v, %v", name, wb, err)
			}
		}
		if err := waybill.Lost(ctx); err != nil {
			t.Errorf("%s: Lost: got %v", name, err)
		}
	}
}

// TestRelayVerbatim sends a request through three services of which the last changes something.
func TestRelayVerbatim(t *testing.T) {
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		first, firstHop := receive(t, auth, issue(t, auth, Cell.To("a")).Token())
		firstCall := send(t, first)
		second, secondHop := receive(t, auth, firstCall.Token())
		secondCall := send(t, second)
		if secondCall.Token() != firstCall.Token() {
			t.Fatalf("%s: an unchanged waybill was not forwarded verbatim", shape.name)
		}
		update := answer(t, auth, secondCall.Token(), Cell.To("b"))
		if out, err := secondCall.Return(update); out != waybill.Relayed || err != nil {
			t.Errorf("%s: got %s, %v, want relayed", shape.name, out, err)
		}
		wantClaim(t, second, Cell, "b")
		relayed := secondHop.Commit(false)
		if out, err := firstCall.Return(relayed); out != waybill.Relayed || err != nil {
			t.Errorf("%s: got %s, %v, want relayed", shape.name, out, err)
		}
		wantClaim(t, first, Cell, "b")
		if got := firstHop.Commit(false); got != update || relayed != update {
			t.Errorf("%s: got %s and %s, want %s verbatim", shape.name, relayed, got, update)
		}
	}
}

// TestRelayThenChange: a service that changes something besides answers under its own base.
func TestRelayThenChange(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	outer := waybilltest.Context(t, auth, Cell.To("a"))
	change(t, outer, Seats.To(1)) // so that base and what is sent differ
	call := send(t, outer)
	for name, meddle := range map[string]func(context.Context, *waybill.Call){
		"changed before the call": nil,
		"changed after the call":  func(ctx context.Context, _ *waybill.Call) { change(t, ctx, Price.To(1)) },
		"changed after the answer": func(ctx context.Context, c *waybill.Call) {
			must(c.Return(answer(t, auth, c.Token(), Cell.To("b"))))(t)
			change(t, ctx, Price.To(1))
		},
	} {
		ctx, hop := receive(t, auth, token)
		if meddle == nil {
			change(t, ctx, Price.To(1))
		}
		c := send(t, ctx)
		if meddle != nil {
			meddle(ctx, c)
		}
		update := answer(t, auth, c.Token(), Cell.To("b"))
		if _, err := c.Return(update); err != nil {
			t.Fatal(err)
		}
		got := hop.Commit(false)
		if got == update {
			t.Errorf("%s: relayed verbatim, want the change of this service in it", name)
		}
		wb := must(auth.Open(got))(t)
		if !strings.Contains(string(wb.Payload()), `"bas":"`+basOf(token)+`"`) || !wb.Has("price") {
			t.Errorf("%s: got %s, want the base %s and a price", name, wb.Payload(), basOf(token))
		}
		if cell, _ := Cell.Of(wb); cell != "b" {
			t.Errorf("%s: got cell %q, want b", name, cell)
		}
	}
	if out, err := call.Return(answer(t, auth, call.Token(), Cell.To("b"))); out != waybill.Merged || err != nil {
		t.Errorf("got %s, %v, want merged", out, err)
	}
	wantClaim(t, outer, Seats, 1)
	wantClaim(t, outer, Cell, "b")
}

// shop is a domain whose key the test holds, to issue what no Authority would.
type shop struct {
	key  *keyring.Key
	auth *waybill.Authority
}

func newShop(t testing.TB, opts ...waybill.Option) shop {
	t.Helper()
	k := lasting(t, keyring.HS256)
	ring := ringOf(t, "shop", k, lasting(t, keyring.Dir), lasting(t, keyring.EdDSA))
	return shop{k, must(waybill.New("shop", ring, append([]waybill.Option{declareAll()}, opts...)...))(t)}
}

func (s shop) issue(payload string) string { return s.key.Codec().Issue([]byte(payload), "shop") }

// TestReturnRefuses: what is not an update of the token that the call sent changes nothing.
func TestReturnRefuses(t *testing.T) {
	s := newShop(t, waybill.Opens(waybill.ProtectionPublic))
	stranger := newShop(t)
	seconds := time.Now().Unix()
	const sid = `"sid":"AAECAwQFBgcICQoLDA0ODw"`
	times := fmt.Sprintf(`"iat":%d,"exp":%d,"end":%d`, seconds, seconds+100, seconds+1000)
	base := fmt.Sprintf(`{"aud":"shop",%s,%s,"sub":"u","jti":"j","cnf":{"jkt":"x"},"cell":"a"}`, sid, times)
	token := s.issue(base)
	older := s.issue(strings.Replace(base, `"a"`, `"older"`, 1))
	// update is a good one with one thing replaced.
	update := func(old, new string) string {
		good := strings.Replace(base, `"cell":"a"`, `"bas":"`+basOf(token)+`","cell":"b"`, 1)
		if strings.Count(good, old) != 1 {
			t.Fatalf("%s is not once in %s", old, good)
		}
		return s.issue(strings.Replace(good, old, new, 1))
	}
	public := must(waybill.New("shop", s.auth.Ring(), declareAll(), waybill.PublicKey()))(t)
	for _, test := range []struct {
		name   string
		update string
		want   error
	}{
		{"garbage", "x", waybill.ErrMalformed},
		{"bad signature", update(sid, sid)[:100] + "AAAA" + update(sid, sid)[104:], waybill.ErrForged},
		{"unknown key", answer(t, stranger.auth, issue(t, stranger.auth).Token(), Cell.To("b")), waybill.ErrUnknownKey},
		{"oversize", update(`"b"`, `"`+strings.Repeat("x", 3600)+`"`), waybill.ErrTooLarge},
		{"the answer to an older token", answer(t, s.auth, older, Cell.To("b")), waybill.ErrStale},
		{"another journey", answer(t, s.auth, issue(t, s.auth, Cell.To("a")).Token(), Cell.To("b")), waybill.ErrStale},
		{"a new journey", issue(t, s.auth, Cell.To("b")).Token(), waybill.ErrStale},
		{"the token itself", token, waybill.ErrStale},
		{"no bas", update(`"bas":"`+basOf(token)+`",`, ``), waybill.ErrStale},
		{"another bas", update(basOf(token), basOf(older)), waybill.ErrStale},
		{"another audience", update(`"shop"`, `"bank"`), waybill.ErrAudience},
		{"another sid", update(sid, `"sid":"AAECAwQFBgcICQoLDA0OEA"`), waybill.ErrRegistered},
		{"a later exp", update(fmt.Sprintf(`"exp":%d`, seconds+100), fmt.Sprintf(`"exp":%d`, seconds+101)), waybill.ErrRegistered},
		{"an earlier exp", update(fmt.Sprintf(`"exp":%d`, seconds+100), fmt.Sprintf(`"exp":%d`, seconds+99)), waybill.ErrRegistered},
		{"another iat", update(fmt.Sprintf(`"iat":%d`, seconds), fmt.Sprintf(`"iat":%d`, seconds-1)), waybill.ErrRegistered},
		{"a later end", update(fmt.Sprintf(`"end":%d`, seconds+1000), fmt.Sprintf(`"end":%d`, seconds+9000)), waybill.ErrRegistered},
		{"an nbf", update(sid, sid+`,"nbf":1`), waybill.ErrRegistered},
		{"an iss", update(sid, sid+`,"iss":"evil"`), waybill.ErrRegistered},
		{"another sub", update(`"sub":"u"`, `"sub":"root"`), waybill.ErrRegistered},
		{"no sub", update(`"sub":"u",`, ``), waybill.ErrRegistered},
		{"another jti", update(`"jti":"j"`, `"jti":"k"`), waybill.ErrRegistered},
		{"another cnf", update(`{"jkt":"x"}`, `{"jkt":"y"}`), waybill.ErrRegistered},
		{"no cnf", update(`,"cnf":{"jkt":"x"}`, ``), waybill.ErrRegistered},
		{"another protection", string(publicToken(t, public, strings.Replace(base, `"cell":"a"`, `"bas":"`+basOf(token)+`","cell":"b"`, 1))), waybill.ErrProtection},
		{"expired when the call was sent", update(times, fmt.Sprintf(`"iat":%d,"exp":%d,"end":%d`, seconds-100, seconds-50, seconds+1000)), waybill.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, hop := receive(t, s.auth, token)
			before := now(t, ctx)
			call := send(t, ctx)
			out, err := call.Return(test.update)
			if out != waybill.Refused || !errors.Is(err, test.want) {
				t.Errorf("got %s, %v, want refused, %v", out, err, test.want)
			}
			if lost := waybill.Lost(ctx); !errors.Is(lost, test.want) {
				t.Errorf("Lost: got %v, want %v", lost, test.want)
			}
			if now(t, ctx) != before {
				t.Errorf("got %s, want nothing changed", now(t, ctx).Payload())
			}
			// A good answer to the same call is still taken: an attempt that went wrong does not spoil the others.
			if out, err := call.Return(update(sid, sid)); out != waybill.Relayed || err != nil {
				t.Errorf("the good update: got %s, %v, want relayed", out, err)
			}
			if hop.Commit(false) != update(sid, sid) {
				t.Error("the good update was not relayed")
			}
		})
	}
}

// publicToken signs a payload with the EdDSA key of an Authority's ring.
func publicToken(t testing.TB, auth *waybill.Authority, payload string) []byte {
	t.Helper()
	k := auth.Ring().Set().Active(keyring.EdDSA, time.Now(), time.Now())
	return []byte(k.Codec().Issue([]byte(payload), auth.Domain()))
}

func TestReturnOfNothing(t *testing.T) {
	ctx := waybilltest.Context(t, authority(t))
	if out, err := send(t, ctx).Return(""); out != waybill.Unchanged || err != nil || waybill.Lost(ctx) != nil {
		t.Errorf("got %s, %v, want unchanged", out, err)
	}
}

func TestReturnTooLate(t *testing.T) {
	auth := authority(t)
	for want, end := range map[error]func(waybill.Hop){
		waybill.ErrCommitted: func(h waybill.Hop) { h.Commit(false) },
		waybill.ErrTooLate:   waybill.Hop.Freeze,
	} {
		ctx, hop := receive(t, auth, issue(t, auth).Token())
		call := send(t, ctx)
		end(hop)
		out, err := call.Return(answer(t, auth, call.Token(), Cell.To("b")))
		if out != waybill.Refused || !errors.Is(err, want) || !errors.Is(waybill.Lost(ctx), want) {
			t.Errorf("got %s, %v, Lost %v, want refused, %v", out, err, waybill.Lost(ctx), want)
		}
	}
}

// TestReturnAfterExpiry: an update is judged as of the moment the call was sent, however long the call takes.
func TestReturnAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		ctx, hop := receive(t, auth, issue(t, auth).Token())
		time.Sleep(waybill.DefaultLife)
		call := send(t, ctx)
		update := answer(t, auth, call.Token(), Cell.To("b"))
		time.Sleep(time.Hour)
		if out, err := call.Return(update); out != waybill.Relayed || err != nil {
			t.Errorf("got %s, %v, want relayed", out, err)
		}
		if hop.Commit(false) != update {
			t.Error("the update was not relayed")
		}
	})
}

// TestReturnRevoked: revocation is judged now.
func TestReturnRevoked(t *testing.T) {
	k, other := lasting(t, keyring.HS256), lasting(t, keyring.HS256)
	before := must(keyring.NewSet("shop", k))(t)
	ring := keyring.NewRing(before)
	auth := must(waybill.New("shop", ring, declareAll()))(t)
	ctx, _ := receive(t, auth, issue(t, auth).Token())
	call := send(t, ctx)
	update := answer(t, auth, call.Token(), Cell.To("b"))
	revoked := strings.Replace(string(must(keyring.NewSet("shop", other))(t).SecretJWKS()), `"keys": [`,
		fmt.Sprintf(`"keys": [{"kid":%q,"revoked":{"revoked_at":1}},`, k.ID()), 1)
	if err := ring.Swap(must(keyring.ParseSet([]byte(revoked)))(t)); err != nil {
		t.Fatal(err)
	}
	if out, err := call.Return(update); out != waybill.Refused || !errors.Is(err, waybill.ErrRevokedKey) {
		t.Errorf("got %s, %v, want refused, ErrRevokedKey", out, err)
	}
}

// TestReturnMergeFails: an update that this service cannot merge is refused whole.
func TestReturnMergeFails(t *testing.T) {
	auth := authority(t, waybill.IssueLimit(512))
	roomy := authority(t)
	text := waybill.NewClaim[string]("seats")
	loose := waybilltest.Authority(t, waybill.Claims(text, Cell, waybill.NewClaim[string]("tenant")))
	for _, test := range []struct {
		name   string
		by     *waybill.Authority
		theirs []waybill.Change
		want   error
	}{
		{"ill-typed", loose, []waybill.Change{text.To("many"), Cell.To("t")}, waybill.ErrMerge},
		{"fixed", loose, []waybill.Change{waybill.NewClaim[string]("tenant").To("evil"), Cell.To("t")}, waybill.ErrFixed},
		{"fixed, deleted", loose, []waybill.Change{waybill.NewClaim[string]("tenant").Delete(), Cell.To("t")}, waybill.ErrFixed},
		{"too large together", roomy, []waybill.Change{Cell.To("t"), Receipt.To(strings.Repeat("x", 200))}, waybill.ErrTooLarge},
	} {
		ctx, hop := receive(t, auth, issue(t, auth, Tenant.To("acme"), Cell.To("a"), Seats.To(1)).Token())
		call := send(t, ctx)
		change(t, ctx, Seats.To(2), Stamp.To(strings.Repeat("y", 50)))
		before := now(t, ctx)
		out, err := call.Return(answer(t, test.by, call.Token(), test.theirs...))
		if out != waybill.Refused || !errors.Is(err, test.want) || !errors.Is(waybill.Lost(ctx), test.want) {
			t.Errorf("%s: got %s, %v, want refused, %v", test.name, out, err, test.want)
		}
		if now(t, ctx) != before {
			t.Errorf("%s: got %s, want nothing changed", test.name, now(t, ctx).Payload())
		}
		hop.Commit(false)
	}
	// A fixed claim cannot be changed by a relay either.
	ctx, _ := receive(t, auth, issue(t, auth, Tenant.To("acme")).Token())
	call := send(t, ctx)
	out, err := call.Return(answer(t, loose, call.Token(), waybill.NewClaim[string]("tenant").To("evil")))
	if out != waybill.Refused || !errors.Is(err, waybill.ErrFixed) {
		t.Errorf("relay: got %s, %v, want refused, ErrFixed", out, err)
	}
	wantClaim(t, ctx, Tenant, "acme")
}

func TestReturnOptions(t *testing.T) {
	auth := authority(t)
	for _, test := range []struct {
		name   string
		opts   []waybill.ReturnOption
		theirs []waybill.Change
		want   string
		out    waybill.Outcome
		err    error
	}{
		{"accepted", []waybill.ReturnOption{waybill.AcceptBack(Cell, Seats)}, []waybill.Change{Cell.To("b")}, `"cell":"b","receipt":"r1"`, waybill.Relayed, nil},
		{"not accepted", []waybill.ReturnOption{waybill.AcceptBack(Seats)}, []waybill.Change{Cell.To("b")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"not accepted, deleted", []waybill.ReturnOption{waybill.AcceptBack(Seats)}, []waybill.Change{Cell.Delete()}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"one of two", []waybill.ReturnOption{waybill.AcceptBack(Seats)}, []waybill.Change{Cell.To("b"), Seats.To(4)}, `"cell":"a","receipt":"r1","seats":4`, waybill.Merged, waybill.ErrNotAccepted},
		{"none accepted", []waybill.ReturnOption{waybill.AcceptBack()}, []waybill.Change{Cell.To("b")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"failed", []waybill.ReturnOption{waybill.Failed()}, []waybill.Change{Cell.To("b"), Receipt.To("r2")}, `"cell":"b","receipt":"r1"`, waybill.Merged, nil},
		{"failed, nothing else", []waybill.ReturnOption{waybill.Failed()}, []waybill.Change{Receipt.To("r2")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, nil},
		{"failed, deleted", []waybill.ReturnOption{waybill.Failed()}, []waybill.Change{Receipt.Delete()}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, nil},
		{"failed, others only", []waybill.ReturnOption{waybill.Failed()}, []waybill.Change{Cell.To("b")}, `"cell":"b","receipt":"r1"`, waybill.Relayed, nil},
		{"both", []waybill.ReturnOption{waybill.Failed(), waybill.AcceptBack(Receipt)}, []waybill.Change{Cell.To("b"), Receipt.To("r2")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
	} {
		ctx, _ := receive(t, auth, issue(t, auth, Cell.To("a"), Receipt.To("r1")).Token())
		call := send(t, ctx)
		out, err := call.Return(answer(t, auth, call.Token(), test.theirs...), test.opts...)
		if out != test.out || !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
			t.Errorf("%s: got %s, %v, want %s, %v", test.name, out, err, test.out, test.err)
		}
		if lost := waybill.Lost(ctx); !errors.Is(lost, test.err) {
			t.Errorf("%s: Lost: got %v, want %v", test.name, lost, test.err)
		}
		claims := string(now(t, ctx).Payload())
		if !strings.HasSuffix(claims, test.want+"}") {
			t.Errorf("%s: got %s, want %s", test.name, claims, test.want)
		}
	}
}

// TestTwoUpdatesOfOneCall: a stream brings several; each counts against the one before.
func TestTwoUpdatesOfOneCall(t *testing.T) {
	auth := authority(t)
	for _, busy := range []bool{false, true} {
		ctx, hop := receive(t, auth, issue(t, auth, Cell.To("a"), Seats.To(1)).Token())
		call := send(t, ctx)
		if busy {
			change(t, ctx, Price.To(9))
		}
		calleeCtx, callee := receive(t, auth, call.Token())
		change(t, calleeCtx, Cell.To("b"))
		first := callee.Update(false)
		change(t, calleeCtx, Cell.Delete(), Seats.To(2))
		second := callee.Commit(false)

		must(call.Return(first))(t)
		wantClaim(t, ctx, Cell, "b")
		if out, err := call.Return(first); out != waybill.Unchanged || err != nil {
			t.Errorf("the same again: got %s, %v, want unchanged", out, err)
		}
		// What this service does in between stands, unless the second update changes it too.
		if busy {
			change(t, ctx, Tags.To([]string{"x"}))
		}
		must(call.Return(second))(t)
		wantNoClaim(t, ctx, Cell)
		wantClaim(t, ctx, Seats, 2)
		if got := hop.Commit(false); !busy && got != second {
			t.Error("the second update was not relayed verbatim")
		}
		if busy {
			wantClaim(t, ctx, Price, 9)
		}
	}
	// A claim that only the first update changed, and that was changed here since, is not touched by the second.
	ctx, _ := receive(t, auth, issue(t, auth, Cell.To("a")).Token())
	call := send(t, ctx)
	calleeCtx, callee := receive(t, auth, call.Token())
	change(t, calleeCtx, Cell.To("b"))
	must(call.Return(callee.Update(false)))(t)
	change(t, ctx, Cell.To("mine"))
	change(t, calleeCtx, Seats.To(5))
	must(call.Return(callee.Commit(false)))(t)
	wantClaim(t, ctx, Cell, "mine")
	wantClaim(t, ctx, Seats, 5)
}

// TestReadOnlyRelays: a node with only the public key passes on what comes, and cannot merge.
func TestReadOnlyRelays(t *testing.T) {
	private := lasting(t, keyring.EdDSA)
	edge := must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), waybill.PublicKey()))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), waybill.PublicKey()))(t)
	token := issue(t, edge, Cell.To("a"), Receipt.To("r1"), Tenant.To("acme")).Token()

	ctx, hop := receive(t, reader, token)
	call := send(t, ctx)
	update := answer(t, edge, call.Token(), Cell.To("b"))
	if out, err := call.Return(update); out != waybill.Relayed || err != nil {
		t.Errorf("got %s, %v, want relayed", out, err)
	}
	wantClaim(t, ctx, Cell, "b")
	if got := hop.Commit(false); got != update {
		t.Errorf("got %q, want the update verbatim", got)
	}

	// Two answers to two calls of the same token: the last writer wins, and it is called a conflict.
	ctx, hop = receive(t, reader, token)
	one, two := send(t, ctx), send(t, ctx)
	must(one.Return(answer(t, edge, one.Token(), Seats.To(1))))(t)
	update = answer(t, edge, two.Token(), Seats.To(2))
	if out, err := two.Return(update); out != waybill.Conflict || err != nil {
		t.Errorf("got %s, %v, want conflict", out, err)
	}
	wantClaim(t, ctx, Seats, 2)
	if got := hop.Commit(false); got != update {
		t.Errorf("got %q, want the last update verbatim", got)
	}

	// The same change twice is none.
	ctx, _ = receive(t, reader, token)
	one, two = send(t, ctx), send(t, ctx)
	must(one.Return(answer(t, edge, one.Token(), Seats.To(1))))(t)
	if out, err := two.Return(answer(t, edge, two.Token(), Seats.To(1))); out != waybill.Unchanged || err != nil {
		t.Errorf("the same change twice: got %s, %v, want unchanged", out, err)
	}

	// An update of which only a part may be taken cannot be taken at all, whether it is the first or the second.
	for _, second := range []bool{false, true} {
		for _, test := range []struct {
			name   string
			opts   []waybill.ReturnOption
			change waybill.Change
			want   error
		}{
			{"not accepted", []waybill.ReturnOption{waybill.AcceptBack(Seats)}, Cell.To("evil"), waybill.ErrReadOnly},
			{"failed", []waybill.ReturnOption{waybill.Failed()}, Receipt.To("evil"), waybill.ErrReadOnly},
		} {
			ctx, _ := receive(t, reader, token)
			call, other := send(t, ctx), send(t, ctx)
			if second {
				must(other.Return(answer(t, edge, other.Token(), Seats.To(7))))(t)
			}
			before := now(t, ctx)
			out, err := call.Return(answer(t, edge, call.Token(), test.change, Seats.To(9)), test.opts...)
			if out != waybill.Refused || !errors.Is(err, test.want) || waybill.Lost(ctx) == nil {
				t.Errorf("%s, second %v: got %s, %v, want refused, %v", test.name, second, out, err, test.want)
			}
			if now(t, ctx) != before {
				t.Errorf("%s, second %v: got %s, want nothing changed", test.name, second, now(t, ctx).Payload())
			}
		}
	}
}

// TestMergeWithOneKey: a ring without public-key keys is not read-only for signed waybills.
func TestMergeWithOneKey(t *testing.T) {
	for alg, opt := range map[keyring.Algorithm]waybill.Option{
		keyring.HS256: waybill.Claims(), keyring.Dir: waybill.Sealed(), keyring.EdDSA: waybill.PublicKey(),
	} {
		auth := must(waybill.New("shop", ringOf(t, "shop", lasting(t, alg)), declareAll(), opt))(t)
		ctx, hop := receive(t, auth, issue(t, auth, Seats.To(1)).Token())
		one, two := send(t, ctx), send(t, ctx)
		must(one.Return(answer(t, auth, one.Token(), Seats.To(3), Price.To(5))))(t)
		if out, err := two.Return(answer(t, auth, two.Token(), Seats.To(2), Cell.To("b"))); out != waybill.Merged || err != nil {
			t.Errorf("%s: got %s, %v, want merged", alg, out, err)
		}
		wantClaims(t, must(auth.Open(hop.Commit(false)))(t), `"seats":3,"price":5,"cell":"b"`)
	}
}

// TestMergeOrder returns the same answers in every order: but for the last writer's, the result is the same.
func TestMergeOrder(t *testing.T) {
	auth := authority(t)
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return string(rune('a' + r.IntN(4))) }
	random := func() []waybill.Change {
		var tags []string
		for range r.IntN(3) {
			tags = append(tags, word())
		}
		slices.Sort(tags)
		all := []waybill.Change{
			Seats.To(r.IntN(4)), Seats.Delete(), Price.To(r.IntN(4)), Price.Delete(), Tags.To(slices.Compact(tags)), Tags.Delete(),
			Stamp.To(word()), Stamp.Delete(),
		}
		var some []waybill.Change
		for i := 0; i < len(all); i += 2 {
			switch r.IntN(4) {
			case 0:
				some = append(some, all[i+1])
			case 1, 2:
				some = append(some, all[i])
			}
		}
		return some
	}
	for round := range 60 {
		token := issue(t, auth, random()...).Token()
		var updates []string
		for len(updates) < 4 {
			ctx, hop := receive(t, auth, token)
			change(t, ctx, random()...)
			if u := hop.Commit(false); u != "" {
				updates = append(updates, u)
			}
		}
		want := ""
		permute(updates, func(order []string) {
			ctx, _ := receive(t, auth, token)
			calls := []*waybill.Call{send(t, ctx), send(t, ctx), send(t, ctx), send(t, ctx)}
			for i, u := range order {
				must(calls[i].Return(u))(t)
			}
			got := fmt.Sprint(values(now(t, ctx)))
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("round %d: got %s in one order, %s in another", round, got, want)
			}
		})
	}
}

// values are the merged claims, sets as sets.
func values(wb *waybill.Waybill) []any {
	var all []any
	seats, ok := Seats.Of(wb)
	all = append(all, seats, ok)
	price, ok := Price.Of(wb)
	all = append(all, price, ok)
	stamp, ok := Stamp.Of(wb)
	all = append(all, stamp, ok)
	tags, ok := Tags.Of(wb)
	slices.Sort(tags)
	return append(all, tags, ok)
}

func permute(list []string, visit func([]string)) {
	var walk func(int)
	walk = func(i int) {
		if i == len(list) {
			visit(list)
			return
		}
		for j := i; j < len(list); j++ {
			list[i], list[j] = list[j], list[i]
			walk(i + 1)
			list[i], list[j] = list[j], list[i]
		}
	}
	walk(0)
}

// TestLostIsBounded: a peer that answers garbage for ever does not fill the memory of a long job.
func TestLostIsBounded(t *testing.T) {
	auth := authority(t)
	job := must(auth.Start(t.Context()))(t)
	call := send(t, job)
	for range 10_000 {
		if out, _ := call.Return("garbage"); out != waybill.Refused {
			t.Fatalf("got %s, want refused", out)
		}
	}
	lost, ok := waybill.Lost(job).(interface{ Unwrap() []error })
	if !ok || len(lost.Unwrap()) > 32 || !errors.Is(waybill.Lost(job), waybill.ErrMalformed) {
		t.Errorf("got %d errors, want at least one and at most 32", strings.Count(waybill.Lost(job).Error(), "\n")+1)
	}
}
