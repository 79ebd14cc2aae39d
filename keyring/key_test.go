package keyring_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func TestGenerateErrors(t *testing.T) {
	good := around()
	for _, test := range []struct {
		name  string
		alg   keyring.Algorithm
		times keyring.Times
		ok    bool
	}{
		{"ordinary", keyring.HS256, good, true},
		{"created when it starts", keyring.Dir, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(time.Second)}, true},
		{"no algorithm", "", good, false},
		{"none", "none", good, false},
		{"RS256", "RS256", good, false},
		{"small letters", "hs256", good, false},
		{"no times", keyring.HS256, keyring.Times{}, false},
		{"no creation", keyring.HS256, keyring.Times{NotBefore: epoch, Expires: epoch.Add(time.Hour)}, false},
		{"before 1970", keyring.HS256, keyring.Times{Created: time.Unix(-5, 0), NotBefore: epoch, Expires: epoch.Add(time.Hour)}, false},
		{"starts before it is made", keyring.HS256, keyring.Times{Created: epoch, NotBefore: epoch.Add(-time.Second), Expires: epoch.Add(time.Hour)}, false},
		{"ends when it starts", keyring.HS256, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch}, false},
		{"ends before it starts", keyring.HS256, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(-time.Hour)}, false},
		{"the same second", keyring.HS256, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(999 * time.Millisecond)}, false},
	} {
		k, err := keyring.Generate(test.alg, test.times)
		if (err == nil) != test.ok || (k == nil) == test.ok {
			t.Errorf("%s: got %v, %v, want ok %v", test.name, k, err, test.ok)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, alg := range algorithms {
		times := around()
		times.Created = times.Created.Add(999 * time.Millisecond)
		a, b := generate(t, alg, times), generate(t, alg, times)
		if a.ID() == b.ID() || len(a.ID()) != 11 {
			t.Errorf("%s: got kids %s and %s, want two of 11 characters", alg, a.ID(), b.ID())
		}
		if a.Algorithm() != alg || !a.CanIssue() || a.Codec() == nil {
			t.Errorf("got %s, can issue %v, want %s that can", a.Algorithm(), a.CanIssue(), alg)
		}
		if got := a.Times(); !got.Created.Equal(around().Created) || !got.NotBefore.Equal(times.NotBefore) || !got.Expires.Equal(times.Expires) {
			t.Errorf("%s: got times %v, want %v in whole seconds", alg, got, times)
		}
	}
}

func TestGone(t *testing.T) {
	k := generate(t, keyring.HS256, around())
	end := around().Expires
	for at, want := range map[time.Time]bool{epoch: false, end.Add(-time.Second): false, end: false, end.Add(time.Second): true} {
		if got := k.Gone(at); got != want {
			t.Errorf("%v after the end: got %v, want %v", at.Sub(end), got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	pair := generate(t, keyring.EdDSA, around())
	pub := pair.Public()
	if pub.ID() != pair.ID() || pub.CanIssue() || pub.Times() != pair.Times() || pub.Algorithm() != keyring.EdDSA {
		t.Errorf("got %v that can issue: %v, want the same key without its private half", pub, pub.CanIssue())
	}
	if pub.Public() == nil {
		t.Error("the public half has no public half")
	}
	for _, alg := range []keyring.Algorithm{keyring.HS256, keyring.Dir} {
		if got := generate(t, alg, around()).Public(); got != nil {
			t.Errorf("%s: got %v, want none: it has no public half", alg, got)
		}
	}
}

// TestNothingPrintsSecrets prints keys in every way there is, also from inside of structs whose fields fmt cannot call
// methods on.
func TestNothingPrintsSecrets(t *testing.T) {
	set := newSet(t, generate(t, keyring.HS256, around()), generate(t, keyring.Dir, around()), generate(t, keyring.EdDSA, around()))
	secrets := secretsOf(t, set)
	if len(secrets) < 30 {
		t.Fatalf("got %d encodings to look for, want at least 30", len(secrets))
	}
	ring := keyring.NewRing(set)
	values := map[string]any{"set": set, "set by value": *set, "ring": ring, "keys": set.Keys(), "stats": ring.Stats(), "revocations": set.Revocations()}
	type holder struct {
		Key *keyring.Key
		key *keyring.Key
	}
	type valueHolder struct {
		Key keyring.Key
		key keyring.Key
	}
	type ringHolder struct {
		Set  *keyring.Set
		set  *keyring.Set
		ring *keyring.Ring
	}
	for _, k := range set.Keys() {
		name := string(k.Algorithm())
		values[name], values[name+" by value"] = k, *k
		values[name+" in a struct"], values[name+" in a pointer to a struct"] = holder{k, k}, &holder{k, k}
		values[name+" by value in a struct"], values[name+" in a map"] = valueHolder{*k, *k}, map[string]*keyring.Key{"k": k}
		values[name+" codec"] = struct{ C any }{k.Codec()}
	}
	values["holder"] = ringHolder{set, set, ring}
	for name, v := range values {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%T", "%p", "%c", "%U", "%50v"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
		text, err := json.Marshal(v)
		fmt.Fprintln(&out, string(text), err)
		wantNoSecret(t, name, out.String(), secrets)
	}
	k := set.Keys()[0]
	for _, got := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", *k), k.String(), k.LogValue().String()} {
		if !strings.Contains(got, k.ID()) || !strings.Contains(got, string(k.Algorithm())) {
			t.Errorf("got %s, want kid and algorithm", got)
		}
	}
	if got := set.String(); got != "ring shop, generation 1, 3 keys" {
		t.Errorf("got %s", got)
	}
	if got := (*keyring.Set)(nil).String(); got != "ring , generation 0, 0 keys" {
		t.Errorf("nil set: got %s", got)
	}
}
