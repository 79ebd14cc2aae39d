package waybillnats

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

func TestValidPattern(t *testing.T) {
	for pattern, want := range map[string]bool{
		"a": true, "a.b": true, "*": true, ">": true, "a.*.>": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false,
		">.a": false, "a.>.b": false, "a b": false, "a\tb": false,
	} {
		if got := validPattern(pattern); got != want {
			t.Errorf("validPattern(%q) = %v, want %v", pattern, got, want)
		}
	}
}
