package natskv

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzReport: what is taken for an answer has a name and says the same when it is written anew.
func FuzzReport(f *testing.F) {
	good, err := json.Marshal(Report{Name: "orders", Host: "h1", Epoch: 1, Generation: 7, Keys: 11, Pending: 1, ContactAge: time.Second,
		ClockOffset: -time.Millisecond, Problem: "none"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"name":"x"} {"name":"y"}`))
	f.Add([]byte(`{"name":"x","secret":1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok := parseReport(data)
		if !ok {
			return
		}
		if r.Name == "" || len(data) > maxReport {
			t.Fatalf("%q was taken for an answer", data)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := parseReport(again); len(again) <= maxReport && (!ok || s != r) {
			t.Errorf("%q: got %+v, %v when written anew, want %+v", data, s, ok, r)
		}
	})
}

func TestParseReport(t *testing.T) {
	for text, want := range map[string]bool{
		`{"name":"orders","generation":3}`:       true,
		`{"name":"orders","generation":-3}`:      false,
		`{"name":"orders","key":"x"}`:            false,
		`{"name":""}`:                            false,
		`{"name":"orders"}{"name":"orders"}`:     false,
		`[]`:                                     false,
		``:                                       false,
		`{"name":"orders","contact_age":"soon"}`: false,
	} {
		if _, ok := parseReport([]byte(text)); ok != want {
			t.Errorf("%s: got %v, want %v", text, ok, want)
		}
	}
}
