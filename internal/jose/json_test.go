package jose

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestValidValue(t *testing.T) {
	nest := func(open, close string, n int) string { return strings.Repeat(open, n) + strings.Repeat(close, n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%x":%d`, i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	for _, test := range []struct {
		text string
		want bool
	}{
		{`null`, true}, {`true`, true}, {`false`, true}, {`0`, true}, {`-0`, true}, {`10`, true}, {`-1.50e+07`, true}, {`1E-1`, true},
		{`""`, true}, {`"a"`, true}, {`"\"\\\/\b\f\n\r\t"`, true}, {`"\u0000\uFFFF\ud7ff\ue000"`, true}, {`"\ud83d\ude00"`, true},
		{`"\uD83D\uDE00x\uD83D\uDE00"`, true}, {"\"\x7f\"", true}, {"\"\u2028é😀\ufffd\"", true},
		{`[]`, true}, {`[[],{}]`, true}, {`{}`, true}, {`{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}`, true}, {`{"":0}`, true},
		{`{"a":1,"A":2}`, true}, {`{"é":1,"e\u0301":2}`, true},
		{nest("[", "]", 31), true}, {nest("[", "]", 32), false}, {strings.Repeat(`{"a":`, 31) + "1" + strings.Repeat("}", 31), true},
		{strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32), false},
		{many(256), true}, {many(257), false}, {`[` + many(200) + `,` + many(200) + `]`, true},
		{`"` + strings.Repeat("x", MaxToken-2) + `"`, true}, {`"` + strings.Repeat("x", MaxToken-1) + `"`, false},

		{``, false}, {` `, false}, {`nul`, false}, {`nulll`, false}, {`True`, false}, {`00`, false}, {`01`, false}, {`-`, false}, {`-01`, false},
		{`+1`, false}, {`1.`, false}, {`.1`, false}, {`1e`, false}, {`1e+`, false}, {`1e1.5`, false}, {`0x1`, false}, {`1_0`, false},
		{`NaN`, false}, {`Infinity`, false}, {`1 `, false}, {` 1`, false}, {`1,`, false}, {`1 1`, false},
		{`"`, false}, {`"a`, false}, {`"\`, false}, {`"\"`, false}, {`"\u`, false}, {`"\u12"`, false}, {`"\u12g4"`, false}, {`"\x41"`, false},
		{`"\'"`, false}, {"\"\n\"", false}, {"\"\x00\"", false}, {"\"\x1f\"", false}, {`'a'`, false},
		{`"\ud83d"`, false}, {`"\ude00"`, false}, {`"\ud83d\u0041"`, false}, {`"\ud83d\ud83d"`, false}, {`"\ude00\ud83d"`, false},
		{`"\ud83d`, false}, {`"\ud83d\`, false}, {`"\ud83d\u`, false}, {`"\ud83d\ude0`, false}, {`"\ud83dx"`, false}, {`"\ud83d\n"`, false},
		{`"\ud83d\nde00"`, false}, {`"\ud83dxude00"`, false}, {`"\ud83d\Ude00"`, false}, {`"\udfff"`, false}, {`"\udc00"`, false}, {`"\udbff"`, false},
		{`"\udbff\udfff"`, true}, {`"\ud800\udc00"`, true}, {`"\ud800\udbff"`, false}, {`"\udbff\ue000"`, false},
		{"\"\xff\"", false}, {"\"\xc0\x80\"", false}, {"\"\xed\xa0\x80\"", false}, {"\"\xf4\x90\x80\x80\"", false}, {"\"\xe2\x82\"", false}, {"\"\x80\"", false},
		{`[`, false}, {`]`, false}, {`[1`, false}, {`[1,`, false}, {`[1,]`, false}, {`[,1]`, false}, {`[1 ,2]`, false}, {`[1}`, false}, {`[1]]`, false},
		{`{`, false}, {`}`, false}, {`{"a"`, false}, {`{"a":`, false}, {`{"a":1`, false}, {`{"a":1,`, false}, {`{"a":1,}`, false}, {`{,}`, false},
		{`{a:1}`, false}, {`{1:1}`, false}, {`{"a" :1}`, false}, {`{"a": 1}`, false}, {`{"a":1 }`, false}, {`{"a":1]`, false}, {`{"a":}`, false},
		{`{"a":1,"a":1}`, false}, {`{"a":1,"b":2,"a":3}`, false}, {`{"":0,"":0}`, false}, {`{"\u0061":1,"a":2}`, false}, {`{"a":1,"\u0061":2}`, false},
		{`{"\/":1,"/":2}`, false}, {`{"\u00e9":1,"é":2}`, false}, {`{"\ud83d\ude00":1,"😀":2}`, false}, {`[{"a":{"b":1,"b":2}}]`, false},
		{`{"\n":1,"a":0,"\u000a":2}`, false},
	} {
		if got := ValidValue([]byte(test.text)); got != test.want {
			t.Errorf("%.60s: got %v, want %v", test.text, got, test.want)
		}
		if test.want && !json.Valid([]byte(test.text)) {
			t.Errorf("%.60s: the test is wrong, encoding/json refuses it", test.text)
		}
	}
}

func TestBuilder(t *testing.T) {
	var b Builder
	if got := string(b.Payload()); got != "{}" {
		t.Errorf("got %s, want {}", got)
	}
	b.Grow(10)
	b.Plain("a", "x")
	b.Seconds("b", 17)
	b.Raw("c", []byte(`[1]`))
	b.Grow(1)
	if got, want := string(b.Payload()), `{"a":"x","b":17,"c":[1]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestClaims(t *testing.T) {
	const payload = `{"sub":"a\"\u00e9","aud":"shop","x":[1],"sid":"AAECAwQFBgcICQoLDA0ODw","iat":5,"exp":6,"end":7,"nbf":4,"y":null}`
	var c Claims
	if err := ParseClaims(&c, []byte(payload), "shop"); err != nil {
		t.Fatal(err)
	}
	if c.Iat != 5 || c.Exp != 6 || c.End != 7 || c.Nbf != 4 {
		t.Errorf("got times %d, %d, %d, %d, want 5, 6, 7, 4", c.Iat, c.Exp, c.End, c.Nbf)
	}
	for name, want := range map[string]string{"x": "[1]", "y": "null", "aud": `"shop"`, "z": "", "X": "", "": "", "su": "", "sub ": ""} {
		if got := string(c.Raw(name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := c.Text("sub"); got != `a"é` {
		t.Errorf("sub: got %q", got)
	}
	if got := c.Text("iss"); got != "" {
		t.Errorf("iss: got %q, want nothing", got)
	}
	var names []string
	c.All(func(name, _ []byte) bool {
		names = append(names, string(name))
		return string(name) != "end"
	})
	if got, want := strings.Join(names, " "), "sub aud x sid iat exp end"; got != want {
		t.Errorf("All: got %s, want %s, where it was stopped", got, want)
	}
	if string(c.Payload()) != payload {
		t.Errorf("Payload: got %s", c.Payload())
	}
	// More claims than an index holds in itself.
	var b Builder
	b.Raw("", []byte("0"))
	for i := range 100 {
		b.Seconds(fmt.Sprintf("c%d", i), int64(i))
		b.Raw(fmt.Sprintf("o%d", i), []byte(`{"in":{"a":1,"b":[{"c":2}]},"side":3}`))
	}
	for _, pair := range strings.Split(payload[1:len(payload)-1], `,"`)[1:] {
		name, value, _ := strings.Cut(pair, `":`)
		b.Raw(name, []byte(value))
	}
	if err := ParseClaims(&c, b.Payload(), "shop"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if got := string(c.Raw(fmt.Sprintf("c%d", i))); got != fmt.Sprint(i) {
			t.Errorf("c%d: got %s", i, got)
		}
	}
	if c.Raw("in") != nil || c.Raw("side") != nil || string(c.Raw("y")) != "null" {
		t.Error("members of inner objects stand among the claims")
	}
}
