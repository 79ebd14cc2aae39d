package visitor

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestForgeries checks that each forgery is another token than the good one, reads as a token, and is not opened.
func TestForgeries(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(trip.Claims...))
	wb, err := auth.Issue(trip.To.To("AMS"), trip.Total.To(46115), trip.Cell.To("eu"))
	if err != nil {
		t.Fatal(err)
	}
	if left := expires(wb.Token()).Sub(wb.Expires()); left != 0 {
		t.Errorf("the token expires %v off", left)
	}
	all := forgeries(wb.Token())
	if len(all) != 6 {
		t.Errorf("got %d forgeries, want 6", len(all))
	}
	seen := map[string]bool{wb.Token(): true}
	for _, f := range all {
		if seen[f.Token] || strings.Count(f.Token, ".") != 2 {
			t.Errorf("%s: seen before, or no token: %s", f.What, f.Token)
		}
		seen[f.Token] = true
		if _, err := auth.Open(f.Token); err == nil {
			t.Errorf("%s: opened", f.What)
		}
	}
	if got := forgeries("no.token"); got != nil {
		t.Errorf("got forgeries of what is no token: %v", got)
	}
}

// TestAbroadNotices sends the foreign host what it must never get, in every way: it notices.
func TestAbroadNotices(t *testing.T) {
	a, err := OpenAbroad("127.0.0.1:0", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	auth := waybilltest.Authority(t)
	wb, err := auth.Issue()
	if err != nil {
		t.Fatal(err)
	}
	send := func(path, body string, headers ...string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, "http://"+a.Addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	send("/", "rates, please", "X-Other", "something")
	if _, _, got := a.seen(); len(got) != 0 {
		t.Errorf("an honest call: got %q, want nothing", got)
	}
	send("/", "", waybill.Header, wb.Token())
	send("/", "", "X-Other", wb.Token())
	send("/", wb.Token())
	send("/?t="+wb.Token(), "")
	send("/", "", waybill.HeaderReturn, "x")
	n, _, leaks := a.seen()
	if got := strings.Join(leaks, " "); got != "Waybill X-Other body url Waybill-Update" {
		t.Errorf("got %q, want each of the five", got)
	}
	if n != 6 {
		t.Errorf("got %d calls, want 6", n)
	}
}
