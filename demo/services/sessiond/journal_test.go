package sessiond

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/trip"
)

func put(t *testing.T, j *journal, id, state string) {
	t.Helper()
	if err := j.write(entry{ID: id, State: json.RawMessage(state)}); err != nil {
		t.Fatal(err)
	}
}

// TestCrash lets a process end in the middle of a line: all before it comes back, and what is written then, too.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	j, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, j, "a", `{"to":1}`)
	put(t, j, "a", `{"to":2}`)
	put(t, j, "b", `{}`)
	if err := j.write(entry{ID: "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString(`{"id":"c","sta`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if j, err = open(path); err != nil {
			t.Fatal(err)
		}
		if got, ok := j.load("a"); !ok || string(got) != `{"to":2}` {
			t.Errorf("a: got %s, %v, want the last state", got, ok)
		}
		for _, id := range []string{"b", "c"} {
			if got, ok := j.load(id); ok {
				t.Errorf("%s: got %s, want none", id, got)
			}
		}
		put(t, j, "d", `{}`)
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	j, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	large := `{"x":"` + strings.Repeat("x", 64<<10) + `"}`
	for i := range compact/(64<<10) + 2 {
		put(t, j, fmt.Sprint("same", i%2), large)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > compact/2 || info.Size() != j.size {
		t.Errorf("the file has %d bytes (%v) and is thought to have %d; want it rewritten", info.Size(), err, j.size)
	}
	if j, err = open(path); err != nil {
		t.Fatal(err)
	}
	if got, ok := j.load("same1"); !ok || string(got) != large {
		t.Errorf("a session of %d bytes came back with %d", len(large), len(got))
	}
}

func TestClient(t *testing.T) {
	j, err := open(filepath.Join(t.TempDir(), "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(j)
	defer srv.Close()
	c := NewClient([]string{strings.TrimPrefix(srv.URL, "http://")})
	if _, err := c.Load(t.Context(), "a"); err != ErrUnknown {
		t.Errorf("before: got %v, want ErrUnknown", err)
	}
	if err := c.Save(t.Context(), "a", trip.State{"to": json.RawMessage(`"AMS"`)}); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Load(t.Context(), "a"); err != nil || !bytes.Equal(s["to"], []byte(`"AMS"`)) {
		t.Errorf("got %s, %v, want what was saved", s["to"], err)
	}
	if err := c.Save(t.Context(), "a", trip.State{"to": json.RawMessage(`"` + strings.Repeat("x", limit) + `"`)}); err == nil {
		t.Error("a session that is too large was taken")
	}
	if err := c.End(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(t.Context(), "a"); err != ErrUnknown {
		t.Errorf("afterwards: got %v, want ErrUnknown", err)
	}
	if _, err := c.Load(t.Context(), ""); err != ErrUnknown {
		t.Errorf("no id: got %v, want ErrUnknown", err)
	}
	if err := NewClient(nil).Save(t.Context(), "a", nil); err == nil {
		t.Error("saved without a store")
	}
}
