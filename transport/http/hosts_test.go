package waybillhttp

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestAllowHosts(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes     []string
		no      []string
	}{
		{"cart.shop.internal",
			[]string{"https://cart.shop.internal", "https://CART.Shop.Internal/x", "https://cart.shop.internal:8443",
				"https://cart.shop.internal.", "http://user:secret@cart.shop.internal/"},
			[]string{"https://shop.internal", "https://a.cart.shop.internal", "https://cart.shop.internal.evil.example",
				"https://evil.example/cart.shop.internal", "https://cart.shop.internal@evil.example", "https://cart.shop.internals",
				"https://xcart.shop.internal", "https://cart-shop.internal", "https://cart.shop.internal..", "https:///path"}},
		{"cart.shop.internal:443",
			[]string{"https://cart.shop.internal", "https://cart.shop.internal:443", "https://cart.shop.internal:"},
			[]string{"http://cart.shop.internal", "https://cart.shop.internal:8443"}},
		{"cart.shop.internal:80", []string{"http://cart.shop.internal"}, []string{"https://cart.shop.internal"}},
		{"*.shop.internal",
			[]string{"https://eu.shop.internal", "https://eu.shop.internal:8443", "https://7.shop.internal",
				"https://my_cart.shop.internal"},
			[]string{"https://shop.internal", "https://.shop.internal", "https://a.eu.shop.internal",
				"https://eu.shop.internal.evil.example", "https://eushop.internal", "https://*.shop.internal"}},
		{"*.shop.internal:8443",
			[]string{"https://eu.shop.internal:8443"},
			[]string{"https://eu.shop.internal", "https://a.b.shop.internal:8443"}},
		{"*.internal", []string{"https://cart.internal"}, []string{"https://internal", "https://a.cart.internal"}},
		{"localhost", []string{"https://localhost:1"}, []string{"https://127.0.0.1", "https://[::1]"}},
		{"Bücher.example",
			[]string{"https://bücher.example", "https://BÜCHER.example", "https://xn--bcher-kva.example"},
			[]string{"https://bucher.example"}},
		{"xn--bcher-kva.example", []string{"https://bücher.example"}, nil},
		{"*.bücher.example", []string{"https://a.bücher.example"}, []string{"https://bücher.example"}},
		{"shop.internal", []string{"https://ｓhop.internal"}, []string{"https://ѕhop.internal"}}, // full-width s, Cyrillic s
		{"10.1.2.3",
			[]string{"https://10.1.2.3", "https://10.1.2.3:99"},
			[]string{"https://10.1.2.30", "https://[::ffff:10.1.2.3]", "https://167838211"}},
		{"10.1.2.3:99", []string{"https://10.1.2.3:99"}, []string{"https://10.1.2.3"}},
		{"2001:db8::1", []string{"https://[2001:db8::1]", "https://[2001:DB8:0::1]:99"}, []string{"https://[2001:db8::2]"}},
		{"[2001:db8::1]", []string{"https://[2001:db8::1]"}, nil},
		{"[2001:db8::1]:99", []string{"https://[2001:db8::1]:99"}, []string{"https://[2001:db8::1]"}},
	} {
		var h hosts
		if err := h.allow(tt.pattern); err != nil {
			t.Fatalf("allow(%q): %v", tt.pattern, err)
		}
		for _, want := range []bool{true, false} {
			urls := tt.yes
			if !want {
				urls = tt.no
			}
			for _, raw := range urls {
				u, err := url.Parse(raw)
				if err != nil {
					t.Fatalf("%s: %v", raw, err)
				}
				if got := h.approves(u); got != want {
					t.Errorf("AllowHosts(%q) approves %s: %v, want %v", tt.pattern, raw, got, want)
				}
			}
		}
	}
	var none hosts
	if none.approves(&url.URL{Scheme: "https", Host: "localhost"}) {
		t.Error("the empty list approves localhost, want nothing")
	}
}

// The error names the pattern, and says what a pattern is.
func TestInvalidPattern(t *testing.T) {
	for _, pattern := range []string{
		"", "*", "*.", "*:443", "*.*.internal", "a.*.internal", "*a.internal", "**.internal", ".internal", "a..internal",
		"https://shop.internal", "shop.internal/", "user@shop.internal", "shop internal", "shop.internal:", "shop.internal:0",
		"shop.internal:65536", "shop.internal:https", "shop.internal:+80", "shop.internal:080", "*.1.2.3", "*.10.0.0.1",
		"127.1", "0x7f.0.0.0x1", "2130706433", "[10.0.0.1]", "[shop.internal]", "[::1", "::1]", "[::1]x", "-shop.internal",
		"shop\x00.internal", "☃\u200d.example", strings.Repeat("a", 64) + ".internal", strings.Repeat("a.", 127) + "internal",
	} {
		t.Run(pattern, func(t *testing.T) {
			err := AllowHosts("shop.internal", pattern).applyClient(new(Transport))
			if err == nil {
				t.Fatalf("AllowHosts(%q): no error", pattern)
			}
			for _, want := range []string{fmt.Sprintf("waybillhttp: AllowHosts(%q): ", pattern), "host, *.host or an IP address"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestApprovesAllocatesNothing(t *testing.T) {
	var h hosts
	if err := h.allow("*.shop.internal"); err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: "cart.shop.internal:8443"}
	if got := testing.AllocsPerRun(100, func() { h.approves(u) }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
