package subject

import "testing"

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"a.b", "a.b", true},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"*", "", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a..c", false},
		{"a.*.c", "a.b.d", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{">", "", false},
		{">", "a..b", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "b.c", false},
		{"a.>", "a.b.", false},
		{"a*", "ab", false},
		{"a.>", "a.>", true},
	} {
		if got := matches(c.pattern, c.subject); got != c.want {
			t.Errorf("matches(%q, %q) = %v, want %v", c.pattern, c.subject, got, c.want)
		}
	}
}

func TestValid(t *testing.T) {
	for pattern, want := range map[string]bool{
		"a": true, "a.b": true, "*": true, ">": true, "a.*.>": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false,
		">.a": false, "a.>.b": false, "a b": false, "a\tb": false,
	} {
		if got := Valid(pattern); got != want {
			t.Errorf("Valid(%q) = %v, want %v", pattern, got, want)
		}
	}
}

func TestLiteral(t *testing.T) {
	for subject, want := range map[string]bool{
		"a": true, "a.b": true, "a.b*": true, "": false, "a..b": false, "*": false, "a.*.b": false, "a.>": false,
	} {
		if got := Literal(subject); got != want {
			t.Errorf("Literal(%q) = %v, want %v", subject, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	var f Filter
	if !f.Approves("a") {
		t.Error("the zero Filter does not approve a")
	}
	for _, pattern := range []string{"a.>", "b"} {
		if err := f.Add([]string{pattern}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Add([]string{"c", "a..b"}); err == nil {
		t.Error("a bad pattern is no error")
	}
	for subject, want := range map[string]bool{"a": false, "a.b": true, "b": true, "c": false} {
		if got := f.Approves(subject); got != want {
			t.Errorf("Approves(%q) = %v, want %v", subject, got, want)
		}
	}
}

func TestInbox(t *testing.T) {
	const nuid = "Gd4Wn0cqEXrTkDM1q9yR2B"
	for subject, want := range map[string]bool{
		"_INBOX." + nuid: true, "_INBOX." + nuid + ".x1": true, "_INBOX_ann.1": true, "_INBOX": true,
		"_R_.a1B2c3.d4E5f6": true, "_R_": false, "private." + nuid: true, "a.b." + nuid + ".7": true,
		"a." + nuid + ".b.c": false, nuid: false, nuid + ".a": false, "$JS.ACK." + nuid: false,
		"a." + nuid + "x": false, "a." + nuid[1:]: false, "a." + nuid[1:] + "-": false, "a." + nuid[2:] + "é": false,
		"events": false, "events.audit": false, "inbox.1": false, "": false, ".": false,
	} {
		if got := Inbox(subject); got != want {
			t.Errorf("Inbox(%q) = %v, want %v", subject, got, want)
		}
	}
}
