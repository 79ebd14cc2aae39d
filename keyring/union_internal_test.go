package keyring

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// universe draws sets that have keys, marks and times in common, so that their unions meet every case.
type universe struct {
	*rand.Rand
	start time.Time
	keys  []*Key
}

func newUniverse(t *testing.T, seed uint64) *universe {
	u := &universe{Rand: rand.New(rand.NewPCG(seed, 7)), start: time.Unix(1_800_000_000, 0)}
	for i := range 6 {
		alg := []Protection{Signed, Sealed, Public}[i%3]
		from := u.start.Add(time.Duration(u.IntN(20)) * time.Second)
		k, err := Generate(alg, Times{u.start, from, from.Add(time.Duration(5+u.IntN(30)) * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		u.keys = append(u.keys, k)
	}
	twin := *u.keys[0] // another key under the same name, as only an attacker finds one
	twin.secret = func() []byte { return bytes.Repeat([]byte{7}, 32) }
	late := *u.keys[1]
	late.times.Expires = late.times.Expires.Add(9 * time.Second)
	u.keys = append(u.keys, &twin, &late, u.keys[2].Public())
	return u
}

func (u *universe) at() time.Time { return u.start.Add(time.Duration(u.IntN(40)) * time.Second) }

// change does to a set what an operator, a keeper or another node could.
func (u *universe) change(t *testing.T, s *Set) *Set {
	k := u.keys[u.IntN(len(u.keys))]
	var err error
	switch _, marked := s.ambiguous[k.kid]; u.IntN(4) {
	case 0:
		s = s.Keep(u.at().Add(20*time.Second), k.kid)
	case 1:
		if s.byID[k.kid] != nil {
			s, err = s.Revoke(k.kid, u.at(), []string{"lost", "stolen"}[u.IntN(2)])
		}
	default:
		if s.byID[k.kid] == nil && !marked && !s.Revoked([]byte(k.kid)) {
			s, err = s.With(k)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (u *universe) set(t *testing.T) *Set {
	s := must(NewSet("shop"))
	for range u.IntN(8) {
		s = u.change(t, s)
	}
	return s
}

func text(s *Set) string { return string(s.SecretJWKS()) }

func TestUnionIsAJoin(t *testing.T) {
	var ambiguous, revoked int
	for seed := range uint64(1000) {
		u := newUniverse(t, seed)
		a, b, c := u.set(t), u.set(t), u.set(t)
		if u.IntN(10) == 0 {
			c = c.WithEpoch(1)
		}
		join := func(x, y *Set) *Set { return must(x.Union(y)) }
		ab := join(a, b)
		for name, pair := range map[string][2]*Set{
			"commutative":           {ab, join(b, a)},
			"associative":           {join(ab, c), join(a, join(b, c))},
			"associative, reversed": {join(join(c, b), a), join(c, join(b, a))},
			"idempotent":            {join(ab, ab), ab},
			"absorbing":             {join(ab, a), ab},
			"absorbing, reversed":   {join(a, ab), ab},
		} {
			if text(pair[0]) != text(pair[1]) {
				t.Fatalf("seed %d: not %s: got %s, want %s", seed, name, text(pair[0]), text(pair[1]))
			}
		}
		if again := join(ab, b); again != ab {
			t.Fatalf("seed %d: a union that brings nothing new is another set", seed)
		}
		read, err := ParseSet(ab.SecretJWKS())
		if len(ab.entries()) == 0 || slices.ContainsFunc(ab.keys, func(k *Key) bool { return k.equal(u.keys[6]) || k.equal(u.keys[7]) }) {
			continue // nothing to read, or a forged entry, alone under its name: its kid gives it away
		}
		if err != nil || text(read) != text(ab) {
			t.Fatalf("seed %d: read again: got %v, %v, want %s", seed, read, err, text(ab))
		}
		ambiguous += len(ab.ambiguous)
		revoked += len(ab.revoked)
	}
	if ambiguous == 0 || revoked == 0 {
		t.Errorf("got %d ambiguous and %d revoked keys, want some of each", ambiguous, revoked)
	}
}

func TestUnionOfTwoKeysUnderOneName(t *testing.T) {
	u := newUniverse(t, 1)
	one, two := must(NewSet("shop", u.keys[0])), must(NewSet("shop", u.keys[6]))
	both := must(one.Union(two))
	kid := u.keys[0].kid
	if got := both.State(kid, u.start); got != Ambiguous || both.Lookup([]byte(kid)) != nil {
		t.Errorf("got state %v, want ambiguous, and no key", got)
	}
	for _, s := range []*Set{one, two} {
		if back := must(both.Union(s)); back != both {
			t.Errorf("got %v, want the key kept dropped", back)
		}
	}
	if _, err := both.With(u.keys[0]); err == nil {
		t.Error("With a ambiguous key: got no error")
	}
	end := u.keys[0].times.Expires
	if got := both.Prune(end, time.Second); got != both {
		t.Error("the mark went while a node whose clock is late may still have the key")
	}
	if got := both.Prune(end.Add(3*time.Second), time.Second); len(got.ambiguous) != 0 {
		t.Error("the mark stays for ever")
	}
}

func TestUnionRefuses(t *testing.T) {
	u := newUniverse(t, 1)
	shop := must(NewSet("shop", u.keys[0]))
	foreign, err := ParseForeign("shop", []byte(`{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"`+
		strict.EncodeToString(make([]byte, 32))+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var many []*Key
	for range MaxKeys {
		k, err := Generate(u.keys[0].protection, u.keys[0].times)
		if err != nil {
			t.Fatal(err)
		}
		many = append(many, k)
	}
	for name, other := range map[string]*Set{
		"another domain": must(NewSet("bank", u.keys[0])), "foreign keys": foreign, "too many keys": must(NewSet("shop", many...)),
	} {
		if got, err := shop.Union(other); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

// TestUnionConverges lets nodes exchange what they know in random order, with copies and losses, while keys are made, kept,
// revoked and dropped, each node by its own clock. Once all have heard of all, all have the same ring.
func TestUnionConverges(t *testing.T) {
	const nodes, margin = 4, 2 * time.Second
	for seed := range uint64(1000) {
		u := newUniverse(t, seed)
		var sets [nodes]*Set
		var skew [nodes]time.Duration
		for i := range sets {
			sets[i] = must(NewSet("shop"))
			skew[i] = time.Duration(u.IntN(2001)-1000) * time.Millisecond
		}
		type parcel struct {
			to  int
			set *Set
		}
		var post []parcel
		now := u.start
		for range 60 {
			now = now.Add(time.Duration(u.IntN(1000)) * time.Millisecond)
			i := u.IntN(nodes)
			switch u.IntN(5) {
			case 0:
				sets[i] = u.change(t, sets[i])
			case 1:
				post = append(post, parcel{u.IntN(nodes), sets[i]})
			case 2, 3:
				if len(post) > 0 { // some arrive twice, some late, some never
					p := post[u.IntN(len(post))]
					sets[p.to] = must(sets[p.to].Union(p.set))
				}
			case 4:
				sets[i] = sets[i].Prune(now.Add(skew[i]), margin)
			}
		}
		for range 2 {
			for _, from := range u.Perm(nodes) {
				for _, to := range u.Perm(nodes) {
					sets[to] = must(sets[to].Union(sets[from]))
				}
			}
		}
		for i := range sets {
			sets[i] = sets[i].Prune(now, margin)
			if text(sets[i]) != text(sets[0]) {
				t.Fatalf("seed %d: node %d has %s, node 0 %s", seed, i, text(sets[i]), text(sets[0]))
			}
			for kid := range sets[i].revoked {
				if sets[i].Lookup([]byte(kid)) != nil {
					t.Fatalf("seed %d: node %d opens under the revoked key %s", seed, i, kid)
				}
			}
		}
	}
}

func TestStates(t *testing.T) {
	u := newUniverse(t, 3)
	at := func(s int) time.Time { return u.start.Add(time.Duration(s) * time.Second) }
	made := func(from, to int) *Key {
		k, err := Generate(Signed, Times{u.start, at(from), at(to)})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first, second, third := made(0, 20), made(10, 30), made(20, 40)
	set := must(must(NewSet("shop", first, second, third)).Keep(at(25), first.kid).Revoke(third.kid, at(1), "test"))
	for _, test := range []struct {
		at            int
		first, second State
	}{
		{0, Active, Pending}, {9, Active, Pending}, {10, Retired, Active}, {21, Retired, Active}, {25, Retired, Active},
		{26, Gone, Active}, {30, Gone, Active}, {31, Gone, Gone},
	} {
		if f, s := set.State(first.kid, at(test.at)), set.State(second.kid, at(test.at)); f != test.first || s != test.second {
			t.Errorf("at %d: got %v and %v, want %v and %v", test.at, f, s, test.first, test.second)
		}
		if got := set.State(third.kid, at(test.at)); got != Revoked {
			t.Errorf("at %d: got %v, want revoked", test.at, got)
		}
	}
	if got := set.State("nobody", u.start); got != Absent {
		t.Errorf("got %v, want absent", got)
	}
	for _, test := range []struct {
		at   int
		want []string
	}{
		{27, []string{second.kid, first.kid}}, {28, []string{second.kid}}, {33, nil},
	} {
		var got []string
		for _, k := range set.Prune(at(test.at), 2*time.Second).keys {
			got = append(got, k.kid)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("pruned at %d: got %v, want %v", test.at, got, test.want)
		}
	}
	if got := fmt.Sprint(len(set.Prune(at(44), 2*time.Second).revoked), len(set.Prune(at(45), 2*time.Second).revoked)); got != "1 0" {
		t.Errorf("revocations kept just before and after their end: got %s, want 1 0", got)
	}
}
