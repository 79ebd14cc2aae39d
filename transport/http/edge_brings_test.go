package waybillhttp_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Whatever a client brings, its third request is answered, and is on a journey. Each row is a row
// of the table "What a client may bring".
func TestWhatAClientMayBring(t *testing.T) {
	for protection, p := range protections {
		protect := waybill.Protect(p)
		auth := authority(t, protect)
		old := func(age time.Duration, opts ...waybill.Option) string {
			return issue(t, authority(t, append(opts, protect, at(-age))...), cell.To("old"))
		}
		good := old(0)
		strange, key := unknownKeyOf(t, p)
		elsewhere := "audience"
		if p == waybill.Sealed {
			elsewhere = "forged" // its domain is a part of the key
		}
		other := waybill.Signed
		if p == waybill.Signed {
			other = waybill.Sealed
		}
		for _, tt := range []struct {
			name   string
			auth   *waybill.Authority
			tokens []string
			cell   string // that the handler sees in the first request
			why    string // of Previous
			was    string // the cell of Previous
		}{
			{"nothing", auth, nil, "new", "ok", ""},
			{"good", auth, []string{good}, "old", "ok", ""},
			{"idle for 16 minutes", auth, []string{old(16 * time.Minute)}, "old", "ok", ""},
			{"idle for 119 minutes", auth, []string{old(119 * time.Minute)}, "old", "ok", ""},
			{"idle for 136 minutes", auth, []string{old(136 * time.Minute)}, "new", "expired", "old"},
			{"ended", auth, []string{old(16*time.Minute, waybill.Journey(15*time.Minute))}, "new", "expired", "old"},
			{"lives too long", auth, []string{old(0, waybill.Life(2*time.Hour))}, "new", "lifetime", "old"},
			{"another protection", auth,
				[]string{issue(t, authority(t, waybill.Protect(other)), cell.To("old"))}, "new", "protection", "old"},
			{"revoked key", withRing(t, revokedRing(t, key, p), protect), []string{strange}, "new", "revoked", ""},
			{"unknown key", auth, []string{strange}, "new", "unknown_key", ""},
			{"another domain", otherDomain(t, key, protect), []string{strange}, "new", elsewhere, ""},
			{"malformed", auth, []string{"garbage"}, "new", "malformed", ""},
			{"half a token", auth, []string{good[:len(good)/2]}, "new", "malformed", ""},
			{"too large", auth, []string{strings.Repeat("a", waybill.DefaultAcceptLimit+1)}, "new", "too_large", ""},
			{"forged", auth, []string{forge(good)}, "new", "forged", ""},
			{"clock ahead", auth, []string{renewedBy(t, authority(t, protect, at(10*time.Minute)), old(0))}, "old", "ok", ""},
			{"garbage and good", auth, []string{"garbage", good, forge(good)}, "old", "ok", ""},
			{"old and good of one journey", auth, []string{old(136 * time.Minute), good}, "old", "ok", ""},
		} {
			for _, c := range carriers {
				if len(tt.tokens) > 1 && !c.several {
					continue
				}
				t.Run(protection+"/"+tt.name+"/"+c.name, func(t *testing.T) {
					s := serve(t, handleEdge(tt.auth, reporter(t), append(c.options, startIn, waybillhttp.Logger(nolog))...))
					v := c.visitor(t, s)
					if tt.tokens != nil {
						v.hold(tt.tokens...)
					}
					first := v.visit(t, "GET", "/")
					if first.StatusCode != 200 || first.cell != tt.cell || first.why != tt.why || first.previousCell != tt.was {
						t.Errorf("first request: %d, cell %q, previous cell %q, why %s; want 200, %q, %q, %s",
							first.StatusCode, first.cell, first.previousCell, first.why, tt.cell, tt.was, tt.why)
					}
					if first.began != (tt.cell == "new") {
						t.Errorf("the first request began the journey: %v", first.began)
					}
					second := v.visit(t, "POST", "/cell=changed")
					third := v.visit(t, "GET", "/")
					if third.StatusCode != 200 || third.cell != "changed" || third.sid != first.sid || third.began {
						t.Errorf("third request: %d, cell %q, journey %q after %q and %q; want 200, changed, and the same journey",
							third.StatusCode, third.cell, third.sid, first.sid, second.sid)
					}
					if n := len(v.held()); n != 1 {
						t.Errorf("the client holds %d tokens, want 1", n)
					}
				})
			}
		}
	}
}

// While keys are away, nothing is forgotten: the journey goes on when the ring is back.
func TestKeysAway(t *testing.T) {
	for _, c := range carriers {
		for name, opts := range map[string][]waybillhttp.EdgeOption{
			"": nil, "required": {waybillhttp.Required()}, "page": {waybillhttp.Unusable(func(w http.ResponseWriter, _ *http.Request, reason string) {
				w.Write([]byte("come again: " + reason))
			})},
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				strange, key := unknownKey(t)
				ring := staleRing(t)
				auth := withRing(t, ring)
				opts := append(append(opts, c.options...), startIn)
				s := serve(t, handleEdge(auth, reporter(t), opts...))
				v := c.visitor(t, s)
				v.hold(strange)
				for range 2 {
					a := v.visit(t, "GET", "/")
					if a.StatusCode != 503 || a.Header.Get("Retry-After") != "5" || a.Header["Set-Cookie"] != nil || a.Header[returnKey] != nil {
						t.Errorf("got %d, header %v; want 503 with Retry-After, and nothing forgotten", a.StatusCode, a.Header)
					}
					if want := "come again: unknown_key"; name == "page" && a.body != want {
						t.Errorf("got %q, want %q", a.body, want)
					}
				}
				if held := v.held(); len(held) != 1 || held[0] != strange {
					t.Fatalf("the client holds %d tokens, want what it held", len(held))
				}
				if err := ring.Swap(newSet(t, "test", key)); err != nil {
					t.Fatal(err)
				}
				if a := v.visit(t, "GET", "/"); a.StatusCode != 200 || a.sid != sidIn(t, auth, strange) {
					t.Errorf("with the key: %d, journey %q; want 200 and the client's journey", a.StatusCode, a.sid)
				}
			})
		}
	}
}

// Where a journey is required, tokens of no use are refused and forgotten: the next request begins
// a journey, or is refused as one without tokens.
func TestRequiredForgets(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers {
		for token, reason := range map[string]string{
			"garbage": "malformed", strings.Repeat("a", 4000): "too_large", forge(issue(t, auth)): "forged",
			issue(t, authority(t, at(-3*time.Hour))): "expired",
		} {
			for _, lazy := range []bool{false, true} {
				t.Run(c.name+"/"+reason, func(t *testing.T) {
					opts := append(c.options, waybillhttp.Required(), waybillhttp.Logger(nolog))
					if !lazy {
						opts = append(opts, startIn)
					}
					v := c.visitor(t, serve(t, handleEdge(auth, reporter(t), opts...)))
					v.hold(token)
					a := v.visit(t, "GET", "/")
					if a.StatusCode != 401 || !strings.Contains(a.body, `"reason":"`+reason+`"`) {
						t.Errorf("first request: %d %s, want 401 with the reason %s", a.StatusCode, a.body, reason)
					}
					if r, ok := v.(*reader); ok {
						r.token = "" // no page, no parameter
					}
					if n := len(v.held()); n != 0 {
						t.Fatalf("the client holds %d tokens, want none", n)
					}
					want := 200
					if lazy {
						want = 401
					}
					for range 2 {
						if a := v.visit(t, "GET", "/"); a.StatusCode != want {
							t.Errorf("a later request: %d, want %d", a.StatusCode, want)
						}
					}
				})
			}
		}
	}
}

// A request whose refusal has another reason still brings what was merged and forgotten.
func TestRefusalBringsTheMerge(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers[:2] {
		v := c.visitor(t, serve(t, handleEdge(auth, reporter(t), append(c.options, waybillhttp.RequireClaims(tenant))...)))
		v.hold(issue(t, auth, cell.To("kept")), "garbage")
		if a := v.visit(t, "GET", "/"); a.StatusCode != 403 {
			t.Errorf("%s: %d, want 403", c.name, a.StatusCode)
		}
		held := v.held()
		if len(held) != 1 {
			t.Fatalf("%s: the client holds %d tokens, want 1", c.name, len(held))
		}
		wb, err := auth.Open(held[0])
		if got, _ := cell.Of(wb); got != "kept" || err != nil {
			t.Errorf("%s: the client holds cell %q, %v; want kept", c.name, got, err)
		}
	}
}

// A page of the application replaces the problem details document. Its status is the refusal's,
// unless it sets another one.
func TestUnusable(t *testing.T) {
	auth := authority(t)
	var status atomic.Int32
	page := waybillhttp.Unusable(func(w http.ResponseWriter, r *http.Request, reason string) {
		if status.Load() != 0 {
			w.WriteHeader(int(status.Load()))
		}
		if r.URL.Path != "/silent" {
			w.Write([]byte("sorry: " + reason))
		}
	})
	for _, tt := range []struct {
		path, token, want string
		set, status       int
	}{
		{"/", "", "sorry: absent", 0, 401},
		{"/", "garbage", "sorry: malformed", 0, 401},
		{"/", "garbage", "sorry: malformed", 200, 200},
		{"/silent", "garbage", "", 0, 401},
	} {
		status.Store(int32(tt.set))
		b := newBrowser(t, serve(t, handleEdge(auth, reporter(t), waybillhttp.Cookies(), waybillhttp.Required(), page)))
		if tt.token != "" {
			b.hold(tt.token)
		}
		a := b.visit(t, "GET", tt.path)
		if a.StatusCode != tt.status || a.body != tt.want || len(b.held()) != 0 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s with %q: %d %q, %d tokens, header %v; want %d %q, no tokens and no-store",
				tt.path, tt.token, a.StatusCode, a.body, len(b.held()), a.Header, tt.status, tt.want)
		}
	}
}

// renewedBy returns the token that another edge gives to a client.
func renewedBy(t testing.TB, auth *waybill.Authority, token string) string {
	t.Helper()
	_, hop := auth.ReceiveClient(t.Context(), waybill.Client{Tokens: []string{token}})
	if tokens := hop.Commit(waybill.Succeeded); len(tokens) == 1 {
		return tokens[0]
	}
	t.Fatal("the edge does not renew the token")
	return ""
}

// sidIn returns the journey of a token.
func sidIn(t testing.TB, auth *waybill.Authority, token string) string {
	t.Helper()
	wb, err := auth.OpenEnded(token)
	if err != nil {
		t.Fatal(err)
	}
	return wb.ID()
}

// unknownKeyOf returns a token of the domain under a key that only its issuer has, and the key.
func unknownKeyOf(t testing.TB, p waybill.Protection) (token string, key *keyring.Key) {
	t.Helper()
	key = newKeyOf(t, p)
	return issue(t, withRing(t, keyring.NewRing(newSet(t, "test", key)), waybill.Protect(p))), key
}
