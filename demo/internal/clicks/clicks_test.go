package clicks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/clicks"
)

// browser is a client with cookies.
type browser struct {
	*testing.T
	http http.Client
	url  string
}

func (b *browser) do(method, path string) (items []string) {
	req, err := http.NewRequestWithContext(b.Context(), method, b.url+path, nil)
	if err != nil {
		b.Error(err)
		return nil
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Errorf("%s %s: status %d", method, path, res.StatusCode)
	}
	if method == http.MethodGet && json.NewDecoder(res.Body).Decode(&items) != nil {
		b.Errorf("%s: no list", path)
	}
	return items
}

// TestClicks clicks one after the other, which loses nothing, and at once, which loses nothing of the waybill's list.
func TestClicks(t *testing.T) {
	handler, err := clicks.New()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"cookie", "scs", "waybill"} {
		b := &browser{T: t, http: http.Client{Jar: jar}, url: srv.URL + "/" + list + "/"}
		if got := fmt.Sprint(b.do("GET", "")); got != "[]" {
			t.Errorf("%s: a new list is %s", list, got)
		}
		for i := range 3 {
			b.do("POST", fmt.Sprint(i))
		}
		if got := fmt.Sprint(b.do("GET", "")); got != "[0 1 2]" {
			t.Errorf("%s: got %s, want all three", list, got)
		}
		b.do("DELETE", "")
		const n = 20
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { b.do("POST", fmt.Sprint(i)) })
		}
		wg.Wait()
		lost := n - len(b.do("GET", ""))
		t.Logf("%s: lost %d of %d", list, lost, n)
		if list == "waybill" && lost != 0 || list != "waybill" && lost == 0 {
			t.Errorf("%s: lost %d of %d clicks at once", list, lost, n)
		}
	}
}
