package agering

import (
	"path/filepath"
	"testing"
	"time"
)

// TestZeroValues: what nobody made has no keys, and says so.
func TestZeroValues(t *testing.T) {
	m := newTeam(t, NewIdentity)
	path := filepath.Join(t.TempDir(), "secret")
	roots := []PublicRoot{m.root.Public()}
	wants := func(name string, err, want error) {
		t.Helper()
		if err != want {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	for name, id := range map[string]*Identity{"zero": {}, "nil": nil} {
		wants(name+" identity: Save", id.Save(path), errNoIdentity)
		_, err := New(domain, id, roots)
		wants(name+" identity: New", err, errNoIdentity)
		if id.Text() != nil || id.Name() != "" || id.Public().Name != "" || id.String() != "identity " || id.LogValue().String() != "identity " {
			t.Errorf("%s identity: it is not empty", name)
		}
	}
	for name, r := range map[string]*Root{"zero": {}, "nil": nil} {
		wants(name+" root: Save", r.Save(path), errNoRoot)
		_, err := m.roster.Sign(r)
		wants(name+" root: Sign", err, errNoRoot)
		if r.Text() != nil || r.Public() != (PublicRoot{}) || r.String() != r.LogValue().String() {
			t.Errorf("%s root: it is not empty", name)
		}
		if _, err := New(domain, m.ids["orders"], []PublicRoot{r.Public()}); err == nil {
			t.Errorf("%s root: New accepts its public half", name)
		}
		if _, err := ParseRoots(r.String()); err == nil {
			t.Errorf("%s root: ParseRoots accepts its public half", name)
		}
	}
	for name, w := range map[string]*Wrapper{"zero": {}, "nil": nil} {
		wants(name+" wrapper: Learn", w.Learn(nil), errNoWrapper)
		_, err := w.Wrap(domain, 1, nil)
		wants(name+" wrapper: Wrap", err, errNoWrapper)
		_, err = w.Unwrap(domain, nil)
		wants(name+" wrapper: Unwrap", err, errNoWrapper)
		if w.Roster() != nil || w.String() != "rings of no domain" || w.LogValue().String() != w.String() {
			t.Errorf("%s wrapper: it is not empty", name)
		}
	}
	for name, r := range map[string]*Roster{"zero": {}, "nil": nil} {
		if _, err := r.Sign(m.root); err == nil || r.Valid(time.Now()) == nil || r.Member("orders") != nil {
			t.Errorf("%s roster: it is not empty", name)
		}
	}
	if _, err := ParseMember(Member{}.String()); err == nil {
		t.Error("zero member: ParseMember accepts it")
	}
	for name, opt := range map[string]Option{"nil": nil, "Remember(nil)": Remember(nil), "Clock(nil)": Clock(nil)} {
		if _, err := New(domain, m.ids["orders"], roots, opt); err == nil {
			t.Errorf("option %s: New accepts it", name)
		}
	}
	w, err := New(domain, m.ids["orders"], roots, Remember(new(SeqGuard)), Clock(clock))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Learn(m.signed()); err != nil || w.Roster() == nil {
		t.Errorf("zero guard: got %v", err)
	}
}
