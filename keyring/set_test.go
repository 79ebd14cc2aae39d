package keyring_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func TestNewSetErrors(t *testing.T) {
	a := generate(t, keyring.Signed, around())
	var many []*keyring.Key
	for range keyring.MaxKeys + 1 {
		many = append(many, generate(t, keyring.Signed, around()))
	}
	pair := generate(t, keyring.Public, around())
	for _, test := range []struct {
		name   string
		domain string
		keys   []*keyring.Key
		want   string
	}{
		{"ordinary", "shop", []*keyring.Key{a, pair}, ""},
		{"empty", "shop", nil, ""},
		{"most keys", "shop", append(many[1:], pair), ""},
		{"too many of one kind", "shop", many, "more than 64 signed keys"},
		{"nil", "shop", []*keyring.Key{a, nil}, "a key is nil"},
		{"the same twice", "shop", []*keyring.Key{a, a}, "two keys have the kid"},
		{"a pair and its public half", "shop", []*keyring.Key{pair, pair.Public()}, "two keys have the kid"},
		{"no domain", "", nil, "domain"},
	} {
		set, err := keyring.NewSet(test.domain, test.keys...)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || (set == nil) != (err != nil) {
			t.Errorf("%s: got %v, %v, want %q", test.name, set, err, test.want)
		}
	}
}

func TestCheckDomain(t *testing.T) {
	for domain, want := range map[string]bool{
		"shop": true, "shop.example": true, "https://shop.example:8443/a_b-c": true, "azAZ09": true, "-./0:_": true, strings.Repeat("d", 128): true,
		"": false, strings.Repeat("d", 129): false, "my shop": false, "shop\n": false, "shop\"": false, "schön": false, "a,b": false, "a?b": false,
		"a;b": false, "a%20b": false, "{shop}": false,
	} {
		if err := keyring.CheckDomain(domain); (err == nil) != want {
			t.Errorf("%q: got %v, want ok %v", domain, err, want)
		}
	}
}

func TestNilSet(t *testing.T) {
	var set *keyring.Set
	if set.Domain() != "" || set.Generation() != 0 || set.Keys() != nil || set.Lookup([]byte("a")) != nil || set.Revoked([]byte("a")) ||
		set.Revocations() != nil || set.Active(keyring.Signed, epoch, epoch) != nil {
		t.Error("the nil set has something in it")
	}
}

func TestLookup(t *testing.T) {
	a, b := generate(t, keyring.Signed, around()), generate(t, keyring.Public, around())
	set := newSet(t, a, b)
	for _, k := range []*keyring.Key{a, b} {
		if got := set.Lookup([]byte(k.ID())); got != k {
			t.Errorf("%s: got %v", k.ID(), got)
		}
	}
	for _, kid := range []string{"", "A", a.ID() + "A", strings.ToLower(a.ID()) + "x", a.ID()[:10]} {
		if got := set.Lookup([]byte(kid)); got != nil {
			t.Errorf("%q: got %v, want none", kid, got)
		}
	}
	// The header that a key writes names it too; those of sealed tokens differ by their salt, and are read.
	dir := generate(t, keyring.Sealed, around())
	three := newSet(t, a, b, dir)
	for _, k := range []*keyring.Key{a, b, dir} {
		want := k
		if k == dir {
			want = nil
		}
		head, _, _ := strings.Cut(k.Codec().Issue([]byte("{}"), "shop"), ".")
		if got := three.LookupHead(head); got != want {
			t.Errorf("header of %v: got %v, want %v", k, got, want)
		}
		for _, other := range []string{"", head[:len(head)-1], head + "A", head + ".", strings.ToLower(head)} {
			if got := three.LookupHead(other); got != nil {
				t.Errorf("header %q: got %v, want none", other, got)
			}
		}
	}
	if got := (*keyring.Set)(nil).LookupHead("a"); got != nil {
		t.Errorf("nil set: got %v", got)
	}
	kid := []byte(a.ID())
	if n := testing.AllocsPerRun(100, func() { set.Lookup(kid); set.Revoked(kid); set.Active(keyring.Signed, epoch, epoch) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
	keys := set.Keys()
	keys[0] = nil
	if set.Keys()[0] == nil {
		t.Error("the set was changed through what Keys returned")
	}
}

// TestActive follows three keys of one ring over their lives.
func TestActive(t *testing.T) {
	key := func(notBefore, expires int) *keyring.Key {
		return generate(t, keyring.Signed, keyring.Times{Created: epoch, NotBefore: epoch.Add(time.Duration(notBefore) * time.Hour),
			Expires: epoch.Add(time.Duration(expires) * time.Hour)})
	}
	first, second, third := key(0, 50), key(24, 74), key(48, 98)
	name := map[*keyring.Key]string{nil: "none", first: "first", second: "second", third: "third"}
	set := newSet(t, second, third, first, generate(t, keyring.Public, around()).Public(), generate(t, keyring.Sealed, around()))
	for _, test := range []struct {
		at    time.Duration
		until time.Duration
		want  *keyring.Key
	}{
		{-time.Second, 0, nil},
		{0, time.Hour, first},
		{24*time.Hour - time.Second, 25 * time.Hour, first},
		{24 * time.Hour, 25 * time.Hour, second},
		{47 * time.Hour, 48 * time.Hour, second},
		{48 * time.Hour, 49 * time.Hour, third},
		{97 * time.Hour, 98 * time.Hour, third},           // until its very end
		{97 * time.Hour, 98*time.Hour + time.Second, nil}, // it would not outlive the token
		{47 * time.Hour, 80 * time.Hour, nil},             // only the third would, and its time has not come
		{25 * time.Hour, 60 * time.Hour, second},          //
		{23 * time.Hour, 51 * time.Hour, nil},             //
		{200 * time.Hour, 200 * time.Hour, nil},           //
	} {
		if got := set.Active(keyring.Signed, epoch.Add(test.at), epoch.Add(test.until)); got != test.want {
			t.Errorf("at %v until %v: got %s, want %s", test.at, test.until, name[got], name[test.want])
		}
	}
	if got := set.Active(keyring.Public, epoch, epoch); got != nil {
		t.Errorf("a public half issues: got %v", got)
	}
	if got := set.Active(0, epoch, epoch); got != nil {
		t.Errorf("no such algorithm: got %v", got)
	}
	// Every key can be looked up, whatever the time: who opens judges the end.
	for _, k := range []*keyring.Key{first, second, third} {
		if set.Lookup([]byte(k.ID())) != k {
			t.Errorf("%s is not found", name[k])
		}
	}
	// The newest come first; of two that begin together, all nodes take the same.
	twin, other := key(5, 60), key(5, 60)
	a := newSet(t, twin, other, first).Keys()
	b := newSet(t, first, other, twin).Keys()
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("key %d: got %v and %v in sets of the same keys", i, a[i], b[i])
		}
	}
	if a[2] != first {
		t.Errorf("got %v last, want the oldest", a[2])
	}
}

func TestWith(t *testing.T) {
	a, b := generate(t, keyring.Signed, around()), generate(t, keyring.Signed, around())
	set := newSet(t, a)
	next := must(set.With(b))(t)
	if next.Generation() != 2 || len(next.Keys()) != 2 || next.Domain() != "shop" || len(set.Keys()) != 1 || set.Generation() != 1 {
		t.Errorf("got %v from %v, want a second generation with two keys", next, set)
	}
	if _, err := next.With(b); err == nil {
		t.Error("the same key twice: got no error")
	}
	// What was revoked stays so.
	data := ringFile(macJWK("a"), jwk{"kid": macJWK("b").kid(), "revoked": jwk{"revoked_at": 1}})
	withTomb := must(must(keyring.ParseSet(data))(t).With(a))(t)
	if !withTomb.Revoked([]byte(macJWK("b").kid())) || withTomb.Generation() != 8 {
		t.Errorf("got %v, want generation 8 with its revocation", withTomb)
	}
	back := must(keyring.ParseSet(ringFile(macJWK("b"))))(t).Keys()[0]
	if _, err := withTomb.With(back); err == nil {
		t.Error("a revoked key came back: got no error")
	}
}

func ExampleSet_Active() {
	now := time.Now()
	key := func(notBefore time.Time) *keyring.Key {
		k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: notBefore, Expires: now.Add(72 * time.Hour)})
		if err != nil {
			panic(err)
		}
		return k
	}
	today, tomorrow := key(now), key(now.Add(24*time.Hour))
	set, err := keyring.NewSet("shop", today, tomorrow)
	if err != nil {
		panic(err)
	}

	token := 15 * time.Minute
	fmt.Println(set.Active(keyring.Signed, now, now.Add(token)) == today)
	later := now.Add(25 * time.Hour)
	fmt.Println(set.Active(keyring.Signed, later, later.Add(token)) == tomorrow)
	// Tokens made with either open all the time.
	fmt.Println(set.Lookup([]byte(today.ID())) != nil, set.Lookup([]byte(tomorrow.ID())) != nil)
	// Output:
	// true
	// true
	// true true
}
