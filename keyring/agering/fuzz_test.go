package agering

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
)

// Each parser accepts one spelling of a value: what it reads, it writes again as the same bytes.

func FuzzMember(f *testing.F) {
	for _, kind := range []func(string) (*Identity, error){NewIdentity, NewHybridIdentity} {
		id, err := kind("orders")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(id.Public().String())
	}
	f.Fuzz(func(t *testing.T, line string) {
		if m, err := ParseMember(line); err == nil && m.String() != line {
			t.Errorf("%q is read as %q", line, m)
		}
	})
}

func FuzzRoots(f *testing.F) {
	f.Add(NewRoot().Public().String())
	f.Fuzz(func(t *testing.T, line string) {
		if r, err := ParseRoots(line); err == nil && r[0].String() != line {
			t.Errorf("%q is read as %q", line, r[0])
		}
	})
}

// The secret files may have comments, empty lines and carriage returns; what is left must be what Text returns.
func FuzzIdentity(f *testing.F) {
	for _, kind := range []func(string) (*Identity, error){NewIdentity, NewHybridIdentity} {
		id, err := kind("orders")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(id.Text())
		f.Add(append([]byte("# comment\n\r\n"), id.Text()...))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := ParseIdentity(text); err == nil && !bytes.Equal(id.Text(), stripped(text)) {
			t.Error("an identity has two spellings")
		}
	})
}

func FuzzRoot(f *testing.F) {
	f.Add(NewRoot().Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRoot(text); err == nil && !bytes.Equal(r.Text(), stripped(text)) {
			t.Error("a root has two spellings")
		}
	})
}

// stripped does what the parsers allow, in other words than theirs.
func stripped(text []byte) []byte {
	var out strings.Builder
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimRight(line, "\r"); line != "" && !strings.HasPrefix(line, "#") {
			out.WriteString(line + "\n")
		}
	}
	return []byte(out.String())
}

func FuzzGuard(f *testing.F) {
	f.Add(encode(guardText{"shop", 7, 2, 100, make([]byte, 32)}))
	f.Fuzz(func(t *testing.T, line []byte) {
		if g, err := parseGuard(line); err == nil && !bytes.Equal(encode(g), line) {
			t.Errorf("%q is read as %q", line, encode(g))
		}
	})
}

// FuzzRoster signs whatever passes for a roster: the signature is no wall for the fuzzer.
func FuzzRoster(f *testing.F) {
	m := newTeam(f, NewIdentity)
	f.Add(m.signed())
	roots := []PublicRoot{m.root.Public()}
	if full, err := parseRoster(m.signed(), roots); err == nil {
		f.Add(encode(full.text.brief()))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var text rosterText
		if !decode(line, &text) {
			return
		}
		if !bytes.Equal(encode(text), line) {
			t.Fatalf("%q is read as %q", line, encode(text))
		}
		if text.check() != nil {
			return
		}
		r := text.roster()
		if again := r.unsigned(); !bytes.Equal(again.statement(), text.statement()) {
			t.Errorf("%q changes on the way through a Roster", line)
		}
		if _, err := parseRoster(line, roots); err == nil && !bytes.Equal(text.Sig, ed25519.Sign(m.root.key, text.statement())) {
			t.Errorf("%q has a signature that the root did not make", line)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	m := newTeam(f, NewIdentity)
	written := [][]byte{
		mustWrap(f, m.writer("ops"), revoking(f, victim)),
		mustWrap(f, m.writer("orders"), newSet(f, domain).SecretJWKS()),
	}
	for _, w := range written {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseEnvelope(line)
		if err == nil && !bytes.Equal(e.line(), line) {
			t.Errorf("%q is read as %q", line, e.line())
		}
		// Only what a member wrote opens; the fuzzer is none.
		here := *m
		here.t = t
		_, err = here.wrapper("stock").Unwrap(domain, line)
		member := slices.ContainsFunc(written, func(w []byte) bool { return bytes.Equal(line, w) })
		if (err == nil) != member {
			t.Errorf("%q: got %v, and that a member wrote it is %v", line, err, member)
		}
	})
}
