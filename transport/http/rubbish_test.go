package waybillhttp_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A megabyte of rubbish costs less than as many good tokens as an edge uses, and does not keep a
// client from its journey.
func TestRubbishIsCheap(t *testing.T) {
	auth := authority(t)
	good := issue(t, auth, tenant.To("a"))
	const mega = 1 << 20
	fill := func(part func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < mega; i++ {
			b.WriteString(part(i) + "; ")
		}
		return b.String()
	}
	tokens := make([]string, 192)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("__Host-wb-%d=%s", i, changedBy(t, auth, good, fmt.Sprint(i)))
	}
	h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		if _, err := waybill.FromContext(r.Context()); err != nil {
			t.Errorf("the handler has no journey: %v", err)
		}
	}, waybillhttp.Cookies(), startIn, waybillhttp.Logger(nolog))
	cost := func(lines ...string) time.Duration {
		best := time.Hour
		for range 10 {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Cookie"] = lines
			w := httptest.NewRecorder()
			begun := time.Now()
			h.ServeHTTP(w, r)
			best = min(best, time.Since(begun))
			if w.Code != 200 || w.Header()["Set-Cookie"] == nil {
				t.Fatalf("got %d, Set-Cookie of %d lines; want 200 and a token", w.Code, len(w.Header()["Set-Cookie"]))
			}
		}
		return best
	}
	most := cost(strings.Join(tokens, "; "))
	half := good[:len(good)/2]
	for name, rubbish := range map[string]string{
		"short":          fill(func(i int) string { return fmt.Sprintf("__Host-wb-%d=x", i) }),
		"one name":       fill(func(int) string { return "__Host-wb-a=x" }),
		"empty":          fill(func(int) string { return "__Host-wb-" }),
		"large":          fill(func(i int) string { return fmt.Sprintf("__Host-wb-%d=%s", i, strings.Repeat("x", 4000)) }),
		"one":            "__Host-wb-a=" + strings.Repeat("x", mega),
		"half tokens":    fill(func(i int) string { return fmt.Sprintf("__Host-wb-%d=%s", i, half) }),
		"dotted":         fill(func(i int) string { return fmt.Sprintf("__Host-wb-%d=a.%d.c", i, i) }),
		"forged":         fill(func(i int) string { return fmt.Sprintf("__Host-wb-%d=%s%06d", i, good[:len(good)-6], i) }),
		"of others":      fill(func(i int) string { return fmt.Sprintf("other%d=x", i) }),
		"semicolons":     strings.Repeat(";", mega),
		"our semicolons": "__Host-wb-a=x" + strings.Repeat(";", mega),
	} {
		lines := []string{rubbish, "__Host-wb-good=" + changedBy(t, auth, good, "kept")}
		if strings.Contains(name, "other") || name == "semicolons" {
			lines[1] += "; __Host-wb-b=x"
		}
		limit := most
		if name == "forged" {
			limit *= 2 // as many signatures are verified as for good tokens
		}
		got := cost(lines...)
		t.Logf("%s: %v, 192 tokens: %v", name, got, most)
		if got > limit {
			t.Errorf("%s: %v, want less than %v", name, got, limit)
		}
	}
}

// Forged tokens are logged, but no more than once a minute; a heavy client is logged once.
func TestBoundedLogs(t *testing.T) {
	var logged bytes.Buffer
	m := &meter{}
	auth := authority(t)
	forged := forge(issue(t, auth))
	s := serve(t, handleEdge(auth, reporter(t), startIn, waybillhttp.MeterProvider(m), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil)))))
	for range 3 {
		v := &script{s: s, tokens: []string{forged, forged + "A"}}
		v.visit(t, "GET", "/")
		heavy := &script{s: s}
		for i := range 20 {
			heavy.hold(changedBy(t, auth, issue(t, auth, cell.To(strings.Repeat("x", 300))), fmt.Sprint(i)))
		}
		heavy.visit(t, "GET", "/")
	}
	s.Close()
	for text, want := range map[string]int{"forged token": 1, "more than 6 KiB": 1} {
		if n := strings.Count(logged.String(), text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, &logged)
		}
	}
	if n := m.count("waybill.forget", "forged"); n < 3 {
		t.Errorf("counted %v, want each forged token", m.all())
	}
	if strings.Contains(logged.String(), "eyJ") {
		t.Error("the log holds a token")
	}
}
