package jose

import (
	"fmt"
	"strings"
	"testing"
)

// edgePayload is a payload with more claims in it.
func edgePayload(more string) []byte {
	return []byte(strings.TrimSuffix(testPayload, "}") + "," + more + "}")
}

func TestEdgeClaims(t *testing.T) {
	const name = "aB3_-xyz"
	for _, test := range []struct {
		more   string
		cause  string // "" if accepted
		rev    int64
		hasRev bool
		sup    int64
	}{
		{`"x":1`, "", 1, false, 0},
		{`"rev":0`, "", 0, true, 0},
		{`"rev":1`, "", 1, true, 0},
		{`"rev":9007199254740991,"sup":1099511627776`, "", 1<<53 - 1, true, 1 << 40},
		{`"sup":0`, "", 1, false, 0},
		{`"rev":9007199254740992`, "claim rev", 0, false, 0},
		{`"rev":-1`, "claim rev", 0, false, 0},
		{`"rev":-0`, "claim rev", 0, false, 0},
		{`"rev":1.0`, "claim rev", 0, false, 0},
		{`"rev":1e3`, "claim rev", 0, false, 0},
		{`"rev":"1"`, "claim rev", 0, false, 0},
		{`"rev":null`, "claim rev", 0, false, 0},
		{`"rev":99999999999999999999999`, "claim rev", 0, false, 0},
		{`"sup":1099511627777`, "claim sup", 0, false, 0},
		{`"sup":-1`, "claim sup", 0, false, 0},
		{`"sup":[0]`, "claim sup", 0, false, 0},
		{`"has":"` + name + `"`, "", 1, false, 0},
		{`"has":"` + strings.Repeat(name, 192) + `"`, "", 1, false, 0},
		{`"has":"` + strings.Repeat(name, 193) + `"`, "claim has", 0, false, 0},
		{`"has":""`, "claim has", 0, false, 0},
		{`"has":"` + name[1:] + `"`, "claim has", 0, false, 0},
		{`"has":"` + name + `x"`, "claim has", 0, false, 0},
		{`"has":"` + name[:7] + `="`, "claim has", 0, false, 0},
		{`"has":"` + name[:7] + `é"`, "claim has", 0, false, 0},
		{`"has":"` + name[:7] + `\u0041"`, "claim has", 0, false, 0},
		{`"has":["` + name + `"]`, "claim has", 0, false, 0},
		{`"has":null`, "claim has", 0, false, 0},
		{`"was":{}`, "", 1, false, 0},
		{`"was":{"a":[],"b":[null],"c":[[]],"d":[[1,2]],"e":[{"x":[1,"]"],"y":"}"}],"":["\"],"],"ключ":[-1.5e3]}`, "", 1, false, 0},
		{`"was":{"a":[1,2]}`, "claim was", 0, false, 0},
		{`"was":{"a":[],"b":[[],[]]}`, "claim was", 0, false, 0},
		{`"was":{"a":["x","y"]}`, "claim was", 0, false, 0},
		{`"was":{"a":[{},1]}`, "claim was", 0, false, 0},
		{`"was":{"a":1}`, "claim was", 0, false, 0},
		{`"was":{"a":{}}`, "claim was", 0, false, 0},
		{`"was":{"a":"[]"}`, "claim was", 0, false, 0},
		{`"was":{"\u0061":[1]}`, "claim was", 0, false, 0},
		{`"was":{"a":[1],"b\"":[1]}`, "claim was", 0, false, 0},
		{`"was":[]`, "claim was", 0, false, 0},
		{`"was":null`, "claim was", 0, false, 0},
		{`"was":{"a":[1],"a":[1]}`, "stands twice", 0, false, 0},
		{`"upd":{}`, "", 1, false, 0},
		{`"upd":{"a":1}`, "", 1, false, 0},
		{`"upd":{"a":7,"b":1},"rev":7`, "", 7, true, 0},
		{`"rev":7,"upd":{"b":1,"a":7}`, "", 7, true, 0},
		{`"rev":0,"upd":{}`, "", 0, true, 0},
		{`"rev":0,"upd":{"a":1}`, "upd has a value above rev", 0, false, 0},
		{`"upd":{"a":2}`, "upd has a value above rev", 0, false, 0},
		{`"upd":{"a":8,"b":1},"rev":7`, "upd has a value above rev", 0, false, 0},
		{`"rev":7,"upd":{"b":1,"a":8}`, "upd has a value above rev", 0, false, 0},
		{`"rev":7,"upd":{"a":0}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"a":-1}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"a":1.5}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"a":"1"}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"a":[1]}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"\u0061":1}`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":["a"]`, "claim upd", 0, false, 0},
		{`"rev":7,"upd":{"a":1,"a":1}`, "stands twice", 0, false, 0},
	} {
		var c Claims
		err := ParseClaims(&c, edgePayload(test.more), "shop")
		if test.cause != "" {
			if err == nil || !strings.Contains(err.Error(), test.cause) {
				t.Errorf("%.60s: got %v, want an error with %q", test.more, err, test.cause)
			}
			continue
		}
		if err != nil || c.Rev != test.rev || c.HasRev != test.hasRev || c.Sup != test.sup {
			t.Errorf("%.60s: got rev %d %v, sup %d, %v, want rev %d %v, sup %d",
				test.more, c.Rev, c.HasRev, c.Sup, err, test.rev, test.hasRev, test.sup)
		}
	}
}

func TestMembers(t *testing.T) {
	for _, test := range []struct {
		object string
		want   string
	}{
		{`{}`, ``},
		{`{"a":1}`, `a=1;`},
		{`{"a":-1.5e3,"b":true,"":null}`, `a=-1.5e3;b=true;=null;`},
		{`{"a":"x,}\"]\\","b":"é\u0041😀"}`, `a="x,}\"]\\";b="é\u0041😀";`},
		{`{"a":{"b":[1,{"c":"}]"}],"d":{}},"e":[],"f":[[1],[2]],"g":0}`, `a={"b":[1,{"c":"}]"}],"d":{}};e=[];f=[[1],[2]];g=0;`},
		{`{"a\"b":1,"\\":2,"ключ":[3]}`, `a\"b=1;\\=2;ключ=[3];`},
	} {
		var got strings.Builder
		n := 0
		Members([]byte(test.object), func(name, value []byte) bool {
			n++
			fmt.Fprintf(&got, "%s=%s;", name, value)
			return true
		})
		if got.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.object, got.String(), test.want)
		}
		calls := 0
		Members([]byte(test.object), func(_, _ []byte) bool { calls++; return false })
		if calls != min(n, 1) {
			t.Errorf("%s: got %d calls, want it stopped after the first", test.object, calls)
		}
	}
	// Other text yields something, and never panics.
	for _, text := range []string{"", "{", `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":"`, `{"a":[`, `{"a":1`, `{"a":1,`, `{"a\`, `{"a"1`, `[1]`, `7`} {
		Members([]byte(text), func(_, _ []byte) bool { return true })
	}
}

func TestEdgeClaimsAllocateNothing(t *testing.T) {
	payload := edgePayload(`"rev":41,"has":"aB3_-xyzaB3_-xyz","was":{"tags":[["a","b"]],"seats":[]},"upd":{"cell":41,"lang":7},"sup":3`)
	var c Claims
	n := 0
	if got := testing.AllocsPerRun(100, func() {
		if err := ParseClaims(&c, payload, "shop"); err != nil {
			t.Fatal(err)
		}
		Members(c.Raw(Upd), func(_, _ []byte) bool { n++; return true })
	}); got != 0 || n == 0 {
		t.Errorf("got %v allocations, %d members, want none and more than none", got, n)
	}
}
