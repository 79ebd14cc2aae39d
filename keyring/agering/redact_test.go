package agering

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingSecretIsPrinted looks for each secret, in each way in which it could be written, in all that this package
// says: values printed with every verb, logs, and errors, also those about a file that is almost an identity.
func TestNothingSecretIsPrinted(t *testing.T) {
	m := newTeam(t, NewIdentity)
	id := m.ids["orders"]
	w := m.writer("orders")
	plain := newSet(t, domain).SecretJWKS()
	var ring struct{ Keys []struct{ K string } }
	if err := json.Unmarshal(plain, &ring); err != nil {
		t.Fatal(err)
	}
	seed, rootSeed := id.sign.Seed(), m.root.key.Seed()
	secrets := []string{id.secret, strings.TrimPrefix(id.secret, "AGE-SECRET-KEY-1"), ring.Keys[0].K}
	for _, b := range [][]byte{seed, rootSeed} {
		numbers := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}")
		secrets = append(secrets, url.EncodeToString(b), fmt.Sprintf("%x", b), strings.Trim(fmt.Sprint(b), "[]"), numbers, string(b))
	}

	var said bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&said, nil)), slog.New(slog.NewJSONHandler(&said, nil))} {
		log.Info("x", "id", id, "root", m.root, "wrapper", w, "struct", struct{ A, B any }{id, m.root})
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		fmt.Fprintf(&said, verb+verb+verb+verb+"\n", id, m.root, w, []any{id, m.root, w})
	}
	for _, v := range []any{id, m.root, w} {
		if out, err := json.Marshal(v); err == nil {
			said.Write(out)
		}
	}
	say := func(err error) {
		if err == nil {
			t.Error("no error to look at")
		}
		fmt.Fprintf(&said, "%v %+v %#v\n", err, err, err)
	}
	path := filepath.Join(t.TempDir(), "id")
	text := string(id.Text())
	for _, bad := range []string{
		strings.ToLower(text), text + text, strings.ReplaceAll(text, ":", " "), string(m.root.Text()),
		strings.Replace(text, "\nwaybill", "x\nwaybill", 1),
		strings.Replace(text, signField, signField+"A", 1),
		strings.Replace(text, "orders", id.secret+" x", 1),
	} {
		_, err := ParseIdentity([]byte(bad))
		say(err)
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = LoadIdentity(path)
		say(err)
		_, err = ParseRoot([]byte("x" + bad))
		say(err)
		_, err = ParseMember(bad)
		say(err)
		_, err = ParseRoots(bad)
		say(err)
		_, err = VerifyRoster([]byte(bad), m.root.Public())
		say(err)
		_, err = w.Unwrap(domain, []byte(bad))
		say(err)
		_, err = w.Wrap(domain, 1, []byte(bad))
		say(err)
	}
	_, err := w.Unwrap(domain, plain)
	say(err)
	_, err = w.Wrap(domain, 2, plain)
	say(err)
	_, err = w.Wrap(domain, 1, bytes.Replace(plain, []byte(`"alg"`), []byte(`"gla"`), 1))
	say(err)

	for i, secret := range secrets {
		if strings.Contains(said.String(), secret) {
			t.Errorf("secret %d was printed", i)
		}
	}
	// The search can find: the public halves are there.
	if !strings.Contains(said.String(), m.root.Public().String()) || !strings.Contains(said.String(), "identity orders") {
		t.Error("the search looks at the wrong text")
	}
}
