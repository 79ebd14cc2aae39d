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
		name       string
		protection keyring.Protection
		times      keyring.Times
		ok         bool
	}{
		{"ordinary", keyring.Signed, good, true},
		{"created when it starts", keyring.Sealed, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(time.Second)}, true},
		{"no protection", 0, good, false},
		{"unknown protection", 4, good, false},
		{"no times", keyring.Signed, keyring.Times{}, false},
		{"no creation", keyring.Signed, keyring.Times{NotBefore: epoch, Expires: epoch.Add(time.Hour)}, false},
		{"before 1970", keyring.Signed, keyring.Times{Created: time.Unix(-5, 0), NotBefore: epoch, Expires: epoch.Add(time.Hour)}, false},
		{"starts before it is made", keyring.Signed, keyring.Times{Created: epoch, NotBefore: epoch.Add(-time.Second), Expires: epoch.Add(time.Hour)}, false},
		{"ends when it starts", keyring.Signed, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch}, false},
		{"ends before it starts", keyring.Signed, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(-time.Hour)}, false},
		{"the same second", keyring.Signed, keyring.Times{Created: epoch, NotBefore: epoch, Expires: epoch.Add(999 * time.Millisecond)}, false},
	} {
		k, err := keyring.Generate(test.protection, test.times)
		if (err == nil) != test.ok || (k == nil) == test.ok {
			t.Errorf("%s: got %v, %v, want ok %v", test.name, k, err, test.ok)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, alg := range protections {
		times := around()
		times.Created = times.Created.Add(999 * time.Millisecond)
		a, b := generate(t, alg, times), generate(t, alg, times)
		if a.ID() == b.ID() || len(a.ID()) != 11 {
			t.Errorf("%s: got kids %s and %s, want two of 11 characters", alg, a.ID(), b.ID())
		}
		if a.Protection() != alg || !a.CanIssue() || a.Codec() == nil {
			t.Errorf("got %s, can issue %v, want %s that can", a.Protection(), a.CanIssue(), alg)
		}
		if got := a.Times(); !got.Created.Equal(around().Created) || !got.NotBefore.Equal(times.NotBefore) || !got.Expires.Equal(times.Expires) {
			t.Errorf("%s: got times %v, want %v in whole seconds", alg, got, times)
		}
	}
}

func TestGone(t *testing.T) {
	k := generate(t, keyring.Signed, around())
	end := around().Expires
	for at, want := range map[time.Time]bool{epoch: false, end.Add(-time.Second): false, end: false, end.Add(time.Second): true} {
		if got := k.Gone(at); got != want {
			t.Errorf("%v after the end: got %v, want %v", at.Sub(end), got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	pair := generate(t, keyring.Public, around())
	pub := pair.Public()
	if pub.ID() != pair.ID() || pub.CanIssue() || pub.Times() != pair.Times() || pub.Protection() != keyring.Public {
		t.Errorf("got %v that can issue: %v, want the same key without its private half", pub, pub.CanIssue())
	}
	if pub.Public() == nil {
		t.Error("the public half has no public half")
	}
	for _, alg := range []keyring.Protection{keyring.Signed, keyring.Sealed} {
		if got := generate(t, alg, around()).Public(); got != nil {
			t.Errorf("%s: got %v, want none: it has no public half", alg, got)
		}
	}
}

// TestNothingPrintsSecrets prints keys in every way there is, also from inside of structs whose fields fmt cannot call
// methods on.
func TestNothingPrintsSecrets(t *testing.T) {
	set := newSet(t, generate(t, keyring.Signed, around()), generate(t, keyring.Sealed, around()), generate(t, keyring.Public, around()))
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
		name := k.Protection().String()
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
	for _, got := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), k.String(), k.LogValue().String()} {
		if !strings.Contains(got, k.ID()) || !strings.Contains(got, k.Protection().String()) {
			t.Errorf("got %s, want kid and protection", got)
		}
	}
	if got := fmt.Sprintf("%#v", *k); !strings.Contains(got, k.ID()) || !strings.Contains(got, fmt.Sprintf("protection:%#v", k.Protection())) {
		t.Errorf("by value: got %s, want kid and protection", got)
	}
	if got := set.String(); got != "ring shop, generation 1, 3 keys" {
		t.Errorf("got %s", got)
	}
	if got := (*keyring.Set)(nil).String(); got != "ring , generation 0, 0 keys" {
		t.Errorf("nil set: got %s", got)
	}
}
