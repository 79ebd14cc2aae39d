package waybill_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
)

const setVectorDir = vectorDir + "/sets"

// setVector is one file of testdata/vectors/sets; see the README there.
type setVector struct {
	Comment   string
	At        int64
	MaxTokens int // 0: any number
	Tokens    []setToken
	Expect    setExpect
}

// setToken is a token that the client sends.
type setToken struct {
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Token   string          `json:"token"`
}

// setExpect is what an edge makes of the tokens.
type setExpect struct {
	Reason    string
	Vacant    bool
	Forgotten []string
	Sid       string // "": there is no waybill
	Claims    modelView
	Read      *setAnswer // to a request that changes nothing
	Write     *setAnswer // to a request that sets cell to "new"
	Delete    *setAnswer // to a request that removes tags; nil if there are none
}

// setAnswer is what the client gets: a token, its payload and its name; or the instruction to
// forget what it sent; or nothing.
type setAnswer struct {
	Answer  string          `json:"answer"` // token, forget or nothing
	Name    string          `json:"name,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// TestSetVectors checks what an edge makes of the tokens in testdata/vectors/sets.
func TestSetVectors(t *testing.T) {
	var files []string
	for name, v := range setVectors() {
		v.run(t)
		text := v.String()
		path := filepath.Join(setVectorDir, name+".json")
		files = append(files, path)
		if *update {
			if err := os.MkdirAll(setVectorDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != text {
			t.Errorf("%s: %v; got\n%s\nwant\n%s", path, err, text, want)
		}
	}
	there := must(filepath.Glob(setVectorDir + "/*.json"))(t)
	slices.Sort(files)
	if !slices.Equal(files, there) {
		t.Errorf("the files are %q, want %q", there, files)
	}
}

// String returns the vector as its file: JSON with one line for each token and each answer.
func (v *setVector) String() string {
	compact := func(value any) string {
		raw, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return string(raw)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n  \"comment\": %s,\n  \"at\": %d,\n", compact(v.Comment), v.At)
	if v.MaxTokens > 0 {
		fmt.Fprintf(&b, "  \"max_tokens\": %d,\n", v.MaxTokens)
	}
	var lines []string
	for _, token := range v.Tokens {
		lines = append(lines, "    "+compact(token))
	}
	fmt.Fprintf(&b, "  \"tokens\": [\n%s\n  ],\n  \"expect\": {\n", strings.Join(lines, ",\n"))
	lines = nil
	member := func(name string, value any, there bool) {
		if there {
			lines = append(lines, fmt.Sprintf("    %q: %s", name, compact(value)))
		}
	}
	e := v.Expect
	member("reason", e.Reason, true)
	member("vacant", e.Vacant, true)
	member("forgotten", e.Forgotten, len(e.Forgotten) > 0)
	member("sid", e.Sid, e.Sid != "")
	member("claims", e.Claims, e.Sid != "")
	member("read", e.Read, true)
	member("write", e.Write, e.Write != nil)
	member("delete", e.Delete, e.Delete != nil)
	fmt.Fprintf(&b, "%s\n  }\n}\n", strings.Join(lines, ",\n"))
	return b.String()
}

// run sets what the edge makes of the tokens.
func (v *setVector) run(t *testing.T) {
	t.Helper()
	edge := newModelEdge(t, modelRing(t), &modelClock{time.Unix(v.At, 0)}, 0)
	edge.tokens = v.MaxTokens
	visit := func(changes ...waybill.Change) (m *modelVisit, view modelView, a *setAnswer) {
		var tokens []string
		for _, token := range v.Tokens {
			tokens = append(tokens, token.Token)
		}
		m = edge.arrive(tokens)
		view = m.view()
		v.Expect.Vacant = m.hop.Vacant()
		if len(changes) > 0 {
			if err := waybill.Update(m.ctx, changes...); err != nil {
				t.Fatal(err)
			}
		}
		a = &setAnswer{Answer: "nothing"}
		switch answer := m.answer(false); {
		case answer.token != "":
			*a = setAnswer{"token", answer.name, must(json.Marshal(answer.view))(t)}
		case answer.forget:
			a.Answer = "forget"
		}
		return m, view, a
	}
	m, view, read := visit()
	v.Expect.Reason, v.Expect.Read, v.Expect.Sid = waybill.Reason(m.hop.Err()), read, view.text("sid")
	for _, err := range m.hop.Forgotten() {
		v.Expect.Forgotten = append(v.Expect.Forgotten, waybill.Reason(err))
	}
	slices.Sort(v.Expect.Forgotten)
	if view == nil {
		return
	}
	v.Expect.Claims = modelView{}
	for _, name := range []string{"cell", "lang", "theme", "high", "tags", "user", "sub"} {
		if view[name] != nil {
			v.Expect.Claims[name] = view[name]
		}
	}
	_, _, v.Expect.Write = visit(modelCell.To("new"))
	if view["tags"] != nil {
		_, _, v.Expect.Delete = visit(modelTags.Delete())
	}
}

// nameOfToken returns the name of a token whose request began a journey or changed a claim.
func nameOfToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b64(sum[:6])
}

// setBuilder builds the payload of a token.
type setBuilder struct {
	journey  byte // the last byte of the sid
	began    int64
	iat, exp int64
	end      int64
	rev      int64 // -1: absent
	sup      int64
	sub      string
	was, upd string
	claims   string
	has      []string
	sealed   bool
}

func (b setBuilder) token() setToken {
	b.iat = def(b.iat, vectorIat)
	b.began = def(b.began, min(b.iat, vectorIat))
	b.exp = def(b.exp, b.iat+900)
	b.end = def(b.end, b.began+43200)
	sid := []byte{0, 0, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, b.journey}
	for i := range 4 {
		sid[i] = byte(b.began >> (24 - 8*i))
	}
	var p strings.Builder
	fmt.Fprintf(&p, `{"aud":%q,"sid":%q,"iat":%d,"exp":%d,"end":%d`, vectorDomain, b64(sid), b.iat, b.exp, b.end)
	member := func(name, raw string) {
		if raw != "" {
			fmt.Fprintf(&p, `,%q:%s`, name, raw)
		}
	}
	if b.rev >= 0 {
		member("rev", strconv.FormatInt(b.rev, 10))
	}
	if len(b.has) > 0 {
		member("has", strconv.Quote(strings.Join(b.has, "")))
	}
	member("was", b.was)
	member("upd", b.upd)
	if b.sup > 0 {
		member("sup", strconv.FormatInt(b.sup, 10))
	}
	if b.sub != "" {
		member("sub", strconv.Quote(b.sub))
	}
	if b.claims != "" {
		p.WriteString("," + b.claims)
	}
	p.WriteString("}")
	token := signed(p.String())
	if b.sealed {
		token = sealed(p.String())
	}
	name := nameOfToken(token)
	if len(b.has) > 0 && b.was == "" {
		slices.Sort(b.has)
		name = nameOfToken(strings.Join(b.has, ""))
	}
	return setToken{name, json.RawMessage(p.String()), token}
}

func def(n, otherwise int64) int64 {
	if n == 0 {
		return otherwise
	}
	return n
}
